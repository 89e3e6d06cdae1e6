package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// serveLogs answers GET /containerLogs/NAMESPACE/POD/CONTAINER, the request of the API server, with the lines since
// `sinceTime`.
func (n *node) serveLogs(address string) error {
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", address, &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(n.answerLogs), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return nil
}

func (n *node) answerLogs(answer http.ResponseWriter, request *http.Request) {
	parts := strings.Split(strings.Trim(request.URL.Path, "/"), "/")
	if len(parts) != 4 || parts[0] != "containerLogs" {
		http.NotFound(answer, request)
		return
	}
	found := n.named(parts[1], parts[2])
	if found == nil {
		http.NotFound(answer, request)
		return
	}
	since, _ := time.Parse(time.RFC3339, request.URL.Query().Get("sinceTime"))
	found.lock.Lock()
	lines := found.lines
	found.lock.Unlock()
	for _, one := range lines {
		if !one.time.Before(since) {
			fmt.Fprintln(answer, one.text)
		}
	}
}

func (n *node) named(namespace, name string) *pod {
	n.lock.Lock()
	defer n.lock.Unlock()
	for _, one := range n.pods {
		if one.object.Namespace == namespace && one.object.Name == name {
			return one
		}
	}
	return nil
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
