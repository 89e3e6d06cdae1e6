package main

import (
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// startEtcd starts etcd and returns when it is ready. Its JSON gateway is enabled, so that tests can compact it with one POST.
func startEtcd(s settings) (*embed.Etcd, error) {
	clients := []url.URL{{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", s.etcdPort)}}
	peers := []url.URL{{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", s.etcdPort+1)}}
	config := embed.NewConfig()
	config.Name = "test"
	config.Dir = filepath.Join(s.dir, "etcd")
	config.UnsafeNoFsync = true
	config.LogLevel = "panic"
	if s.verbose {
		config.LogLevel = "warn"
	}
	config.EnableGRPCGateway = true
	config.ListenClientUrls, config.AdvertiseClientUrls = clients, clients
	config.ListenPeerUrls, config.AdvertisePeerUrls = peers, peers
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return nil, err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, nil
	case err := <-etcd.Err():
		return nil, err
	case <-time.After(30 * time.Second):
		etcd.Close()
		return nil, fmt.Errorf("not ready within 30 s")
	}
}
