// One program: our supervisor, which keeps the services: pm2 start /srv/bgpdrift/supervisor/deploy/ecosystem-whole.config.js.
const path = require("path");

const home = path.resolve(__dirname, "../..");

module.exports = {
  apps: [
    {
      name: "bgpdrift",
      cwd: home,
      interpreter: "none",
      exec_mode: "fork",
      // TERM, and so a clean stop of everything, should PM2 itself be killed.
      script: "/usr/bin/setpriv",
      args: ["--pdeathsig", "TERM", path.join(home, ".venv/bin/python"), "run_all_services.py", "start", "--foreground"],
      // Our supervisor stops the services in order: nobody else signals them, and PM2 waits (ms).
      treekill: false,
      kill_timeout: 30000,
      wait_ready: false,
      autorestart: true,
      min_uptime: 5000,
      max_restarts: 1000000,
      exp_backoff_restart_delay: 100,
      // 0: it was told to stop. 2: broken settings. All else is started again.
      stop_exit_codes: [0, 2],
      vizion: false,
      pmx: false,
    },
  ],
};
