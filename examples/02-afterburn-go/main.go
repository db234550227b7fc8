// An afterburn worker in Go: it is started once, reads requests from its stdin and
// writes responses to its stdout, one after another.
package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	in := bufio.NewReader(os.Stdin)
	for call := 1; ; call++ {
		request, err := http.ReadRequest(in)
		if err == io.EOF {
			return // no more calls
		}
		if err != nil {
			log.Fatalf("read a request: %v", err)
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			log.Fatalf("read a body: %v", err)
		}
		answer := fmt.Sprintf("call %d of this worker: %d bytes\n", call, len(body))
		fmt.Printf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
	}
}
