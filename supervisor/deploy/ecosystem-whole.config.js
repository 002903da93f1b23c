// One program, the supervisor, which runs the services: pm2 start /srv/bgpdrift/supervisor/deploy/ecosystem-whole.config.js.
const path = require("path");

const home = path.resolve(__dirname, "../..");

module.exports = {
  apps: [
    {
      name: "bgpdrift",
      cwd: home,
      interpreter: "none",
      exec_mode: "fork",
      // If PM2 itself is killed, the supervisor gets TERM and stops everything cleanly.
      script: "/usr/bin/setpriv",
      args: ["--pdeathsig", "TERM", path.join(home, ".venv/bin/python"), "run_all_services.py", "start", "--foreground"],
      // The supervisor stops the services in order: PM2 does not signal them, and waits this long (ms).
      treekill: false,
      kill_timeout: 30000,
      wait_ready: false,
      autorestart: true,
      min_uptime: 5000,
      max_restarts: 1000000,
      exp_backoff_restart_delay: 100,
      // 0: stopped on request. 2: wrong settings. After any other code PM2 starts it again.
      stop_exit_codes: [0, 2],
      vizion: false,
      pmx: false,
    },
  ],
};
