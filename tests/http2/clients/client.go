// A client of HTTP/2 by net/http: `client URL ADDRESS [CA]`. Every connection goes to ADDRESS, whatever the URL says.
// Sends the requests that test_libraries.py describes, all at the same time, and prints one line for each.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
)

const requests = 50

func transport(address string) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	made := &http.Transport{Protocols: protocols}
	made.DialContext = func(context context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(context, network, address)
	}
	if len(os.Args) > 3 {
		pem, err := os.ReadFile(os.Args[3])
		if err != nil {
			panic(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		made.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	return made
}

func ask(client *http.Client, number int) string {
	body := bytes.Repeat([]byte{byte(number)}, 1000*number)
	request, err := http.NewRequest("POST", os.Args[1], io.MultiReader(bytes.NewReader(body)))
	if err != nil {
		panic(err)
	}
	request.Header.Set("X-Number", fmt.Sprint(number))
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Sprintf("%02d %v", number, err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Sprintf("%02d %v", number, err)
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(content))
	return fmt.Sprintf("%02d %d %s %d %s %s", number, answer.StatusCode, answer.Proto, len(content), sum[:8], answer.Trailer.Get("X-T"))
}

func main() {
	client := &http.Client{Transport: transport(os.Args[2])}
	lines := make([]string, requests)
	var group sync.WaitGroup
	for number := range requests {
		group.Add(1)
		go func() {
			defer group.Done()
			lines[number] = ask(client, number)
		}()
	}
	group.Wait()
	sort.Strings(lines)
	fmt.Println(strings.Join(lines, "\n"))
}
