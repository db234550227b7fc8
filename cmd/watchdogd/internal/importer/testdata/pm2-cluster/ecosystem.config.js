// how pm2 runs it
const path = require('path');
const PORT = 3000;
module.exports = {
  apps: [{
    name: 'api',
    script: './server.js',
    cwd: __dirname,
    instances: 4,
    exec_mode: 'cluster',
    max_memory_restart: '300M',
    kill_timeout: 5_000,
    listen_timeout: 8000,
    watch: ['src', "config/*.json"],
    ignore_watch: ['node_modules'],
    args: "--color --name 'a b'",
    node_args: ['--max-old-space-size=256'],
    env: { NODE_ENV: 'development', PORT, API: `http://localhost:${PORT}/v1`, TOKEN: process.env.TOKEN, LEVEL: process.env.LEVEL || 'info' },
    env_production: { NODE_ENV: 'production' },
    error_file: path.join(__dirname, 'logs', 'err.log'),
    log_date_format: 'YYYY-MM-DD',
  }, {
    name: "mailer",
    script: "mailer.py",
    autorestart: false,
    cron_restart: '0 3 * * *',
    instances: 1,
    price: '$5',
  }, {
    script: "npm", args: "run start:jobs",
    restart_delay: 1500,
    wait_ready: true,
  }],
  deploy: { production: { user: 'node', host: '10.0.0.1' } },
};
