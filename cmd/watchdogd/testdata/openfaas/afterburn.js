// An afterburn client that reads as the one for Node did: the head has to be whole in the
// first read, and the body is whole when as many bytes came as it has. Its answers count
// characters in place of bytes.
'use strict'
const handler = (body) => ({ status: 'done: ' + body })

process.stdin.on('data', (data) => {
  const text = data.toString()
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) {
    console.log('no head in', JSON.stringify(text))
    process.exit(1)
  }
  const length = /^Content-Length: (\d+)$/m.exec(text.slice(0, end).replaceAll('\r', ''))[1]
  const body = text.slice(end + 4)
  if (Buffer.byteLength(body) !== Number(length)) {
    console.error('the body is not whole')
    process.exit(1)
  }
  const answer = JSON.stringify(handler(body))
  process.stdout.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ' + answer.length + '\r\n\r\n' + answer)
})
