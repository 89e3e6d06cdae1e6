// Program kubelet replaces the kubelet of one node. It runs one process for each pod, in a separate network namespace that
// is connected to a bridge, and writes the status of the pod. It runs no containers: the option -image maps images to
// programs. It runs only the first container of a pod, with its environment, arguments, Secrets and ConfigMaps as files,
// readiness probe and grace period. It serves the logs of pods to the API server.
//
// It creates the bridge and the processes of the pods; they end with it. Run it in a network namespace created for the test.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	nodeName    = "node"
	nodeAddress = "10.244.0.1"
	logsPort    = 10250
)

// images maps a part of the name of an image to the command to run.
type images [][2]string

func (i *images) String() string { return "" }

func (i *images) Set(text string) error {
	part, command, found := strings.Cut(text, "=")
	if !found {
		return fmt.Errorf("the option must have the form PART-OF-IMAGE=COMMAND")
	}
	*i = append(*i, [2]string{part, command})
	return nil
}

// command returns the command for an image, or nil if the image is unknown.
func (i images) command(image string) []string {
	for _, row := range i {
		if strings.Contains(image, row[0]) {
			return strings.Fields(row[1])
		}
	}
	return nil
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "answer-udp" {
		answerUDP()
		return
	}
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	known := images{{"/coredns:", self + " answer-udp"}}
	kubeconfig := flag.String("kubeconfig", "", "path of the kubeconfig")
	dir := flag.String("dir", "", "folder for the files of pods")
	flag.Var(&known, "image", "PART-OF-IMAGE=COMMAND: the program for an image; can be repeated")
	flag.Parse()
	if err := run(*kubeconfig, *dir, known); err != nil {
		fmt.Fprintln(os.Stderr, "kubelet:", err)
		os.Exit(1)
	}
}

func run(kubeconfig, dir string, known images) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 500, 1000
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if err := makeBridge(); err != nil {
		return err
	}
	node := &node{client: client, dir: dir, images: known, pods: map[string]*pod{}}
	if err := node.serveLogs(net.JoinHostPort(nodeAddress, fmt.Sprint(logsPort))); err != nil {
		return err
	}
	if err := node.register(ctx); err != nil {
		return err
	}
	if err := node.follow(ctx); err != nil {
		return err
	}
	fmt.Println("ready")
	<-ctx.Done()
	return nil
}

// answerUDP is a name server for clients that need only some response: it sends each message back, marked as a response.
func answerUDP() {
	socket, err := net.ListenPacket("udp", ":53")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buffer := make([]byte, 4096)
	for {
		size, from, err := socket.ReadFrom(buffer)
		if err != nil {
			return
		}
		answer := bytes.Clone(buffer[:size])
		if size > 2 {
			answer[2] |= 0x80
		}
		_, _ = socket.WriteTo(answer, from)
	}
}
