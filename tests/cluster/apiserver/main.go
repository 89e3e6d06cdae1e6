// Program apiserver is a Kubernetes API in one process: etcd, kube-apiserver, and the controllers that tests need
// (EndpointSlices, Deployments, ReplicaSets, Namespaces, ServiceAccounts, garbage collection). It uses the code of
// Kubernetes: admission, RBAC, watch caches, TokenRequest and audit are those of the release in go.mod.
//
// All its data is in -dir. If it is killed and started again with the same folder, all objects, the token and the keys are
// the same, so that old kubeconfigs stay valid. It prints "ready" on stdout when all CRDs are established. Flags of
// kube-apiserver can follow after `--`; they override the flags set here.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/klog/v2"
)

// settings are the flags of the program.
type settings struct {
	dir         string // all data
	crds        string // folder of CRDs, as published by the Gateway API
	port        int    // of the API (HTTPS)
	etcdPort    int    // of etcd for clients; the next port is for its peers
	etcdThrough string // HOST:PORT at which the API server reaches etcd: a proxy, with which tests delay etcd
	verbose     bool
	extra       []string // flags of kube-apiserver
}

func main() {
	var s settings
	flag.StringVar(&s.dir, "dir", "", "folder for all data")
	flag.StringVar(&s.crds, "crds", "", "folder of CRDs to install")
	flag.IntVar(&s.port, "port", 16443, "port of the API on 127.0.0.1")
	flag.IntVar(&s.etcdPort, "etcd-port", 23790, "port of etcd on 127.0.0.1; the next port is for its peers")
	flag.StringVar(&s.etcdThrough, "etcd-through", "", "HOST:PORT at which the API server reaches etcd")
	flag.BoolVar(&s.verbose, "log", false, "log to stderr")
	flag.Parse()
	s.extra = flag.Args()
	if !s.verbose {
		klog.LogToStderr(false)
		klog.SetOutput(io.Discard)
	}
	if err := run(s); err != nil {
		fmt.Fprintln(os.Stderr, "apiserver:", err)
		os.Exit(1)
	}
}

func run(s settings) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if s.dir == "" {
		return fmt.Errorf("-dir is required")
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	keys, err := readOrMakeCredentials(s.dir)
	if err != nil {
		return err
	}
	etcd, err := startEtcd(s)
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	defer etcd.Close()

	api, ended, err := startAPI(ctx, s, keys)
	if err != nil {
		return fmt.Errorf("kube-apiserver: %w", err)
	}
	if err := waitReady(ctx, api, 60*time.Second); err != nil {
		return err
	}
	// Before the CRDs are installed: a test that waits for the file can already create core objects.
	if err := writeKubeconfig(filepath.Join(s.dir, "kubeconfig"), s, keys); err != nil {
		return err
	}
	if s.crds != "" {
		if err := installCRDs(ctx, api, s.crds); err != nil {
			return fmt.Errorf("CRDs: %w", err)
		}
	}
	fmt.Println("ready")
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = <-ended
	}
	return err
}
