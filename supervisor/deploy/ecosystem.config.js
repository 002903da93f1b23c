// The eight services of bgpdrift under PM2: pm2 start /srv/bgpdrift/supervisor/deploy/ecosystem.config.js. See docs/deploy.md.
const path = require("path");

const home = path.resolve(__dirname, "../..");
const python = path.join(home, ".venv/bin/python");

const common = {
  cwd: home,
  interpreter: "none",
  exec_mode: "fork",
  // One math thread a process; a crash or a hang leaves its stacks in the log.
  env: {
    OMP_NUM_THREADS: "1",
    OPENBLAS_NUM_THREADS: "1",
    MKL_NUM_THREADS: "1",
    NUMEXPR_NUM_THREADS: "1",
    PYTHONUNBUFFERED: "1",
    PYTHONFAULTHANDLER: "1",
  },
  // PM2 asks with INT, which is a clean stop as TERM is; then it waits this long (ms), 1.6 s if nobody says so.
  kill_timeout: 10000,
  // A retrainer is a child of the drift monitor and no business of PM2's.
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
    // Each service ends with PM2, however that ends: else the next one starts all of them a second time.
    script: "/usr/bin/setpriv",
    args: ["--pdeathsig", "KILL", python, "-m", "bgpdrift.services", name],
    autorestart: true,
    min_uptime: 3000,
    // Never give up: wait longer each time instead (ms, up to 15 s).
    max_restarts: 1000000,
    exp_backoff_restart_delay: 100,
    // Broken settings do not mend themselves.
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
