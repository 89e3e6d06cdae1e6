package main

// Credentials: a static token for one administrator, and the key that signs the tokens of service accounts. Both are written
// once and kept, so that a restarted server accepts the same tokens.

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

type credentials struct {
	token      string // of the administrator
	tokensFile string
	signing    string // path of the private key for the tokens of service accounts
	public     string
}

func readOrMakeCredentials(dir string) (credentials, error) {
	c := credentials{
		tokensFile: filepath.Join(dir, "tokens.csv"),
		signing:    filepath.Join(dir, "sa.key"),
		public:     filepath.Join(dir, "sa.pub"),
	}
	if text, err := os.ReadFile(c.tokensFile); err == nil {
		c.token, _, _ = strings.Cut(string(text), ",")
		return c, nil
	}
	secret := make([]byte, 16)
	if _, err := rand.Read(secret); err != nil {
		return c, err
	}
	c.token = hex.EncodeToString(secret)
	if err := writeSigningKeys(c); err != nil {
		return c, err
	}
	// This file is written last: if it exists, the keys are complete.
	return c, os.WriteFile(c.tokensFile, []byte(c.token+",admin,admin,\"system:masters\"\n"), 0o600)
}

func writeSigningKeys(c credentials) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(c.signing, private, 0o600); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	return os.WriteFile(c.public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600)
}

const kubeconfig = `apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: admin}}]
users: [{name: admin, user: {token: %s}}]
clusters: [{name: test, cluster: {server: "https://127.0.0.1:%d", certificate-authority-data: %s}}]
`

// writeKubeconfig writes a kubeconfig that trusts the self-signed certificate of the server.
func writeKubeconfig(path string, s settings, c credentials) error {
	authority, err := os.ReadFile(filepath.Join(s.dir, "certificates", "apiserver.crt"))
	if err != nil {
		return err
	}
	text := fmt.Sprintf(kubeconfig, c.token, s.port, base64.StdEncoding.EncodeToString(authority))
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
