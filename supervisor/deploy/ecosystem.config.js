// The eight services of bgpdrift under PM2: pm2 start /srv/bgpdrift/supervisor/deploy/ecosystem.config.js. See docs/deploy.md.
const path = require("path");

const home = path.resolve(__dirname, "../..");
const python = path.join(home, ".venv/bin/python");

const common = {
  cwd: home,
  interpreter: "none",
  exec_mode: "fork",
  // One math thread for each process; a crash or a hang writes its stacks to the log.
  env: {
    OMP_NUM_THREADS: "1",
    OPENBLAS_NUM_THREADS: "1",
    MKL_NUM_THREADS: "1",
    NUMEXPR_NUM_THREADS: "1",
    PYTHONUNBUFFERED: "1",
    PYTHONFAULTHANDLER: "1",
  },
  // PM2 sends INT, which requests a clean stop as TERM does, and waits this long (ms); its default is 1.6 s.
  kill_timeout: 10000,
  // A retrainer is a child of the drift monitor, and PM2 must not signal it.
  treekill: false,
  // PM2's READY is for Node programs only.
  wait_ready: false,
  vizion: false,
  pmx: false,
};

function service(name) {
  return {
    ...common,
    name,
    // Each service ends with PM2, also if PM2 is killed. Otherwise the next PM2 would start a second copy of each.
    script: "/usr/bin/setpriv",
    args: ["--pdeathsig", "KILL", python, "-m", "bgpdrift.services", name],
    autorestart: true,
    min_uptime: 3000,
    // Retry without end, with growing waits (ms, up to 15 s).
    max_restarts: 1000000,
    exp_backoff_restart_delay: 100,
    // A restart does not correct wrong settings.
    stop_exit_codes: [2],
  };
}

module.exports = {
  apps: [
    {
      ...common,
      name: "prepare_store",
      script: python,
      args: ["-m", "bgpdrift.services", "prepare_store"],
      autorestart: false,
    },
    service("ris_live_collector"),
    service("feature_aggregator"),
    service("heuristic_detector"),
    service("isolation_forest_detector"),
    service("lstm_detector"),
    service("ensemble_coordinator"),
    service("correlation_engine"),
    service("drift_monitor"),
  ],
};
