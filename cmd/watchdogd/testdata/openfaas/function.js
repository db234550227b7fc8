// An HTTP function as the Node templates make them.
'use strict'
const http = require('node:http')

http.createServer((request, response) => {
  const parts = []
  request.on('data', (part) => parts.push(part))
  request.on('end', () => {
    if (request.url === '/stream') {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' })
      response.write('data: one\n\n')
      setTimeout(() => response.end('data: two\n\n'), 20)
      return
    }
    response.writeHead(200, { 'Content-Type': 'application/json', 'X-Function': 'node' })
    response.end(JSON.stringify({
      method: request.method,
      path: request.url,
      body: Buffer.concat(parts).toString(),
      chunked: 'transfer-encoding' in request.headers,
    }))
  })
}).listen(Number(process.env.FUNCTION_PORT), '127.0.0.1', () => console.log('listening'))

process.on('SIGTERM', () => {
  console.log('node says goodbye')
  process.exit(0)
})
