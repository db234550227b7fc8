export default { apps: [{ name: 'x', script: 'x.js', interpreter: 'bun' }] }
