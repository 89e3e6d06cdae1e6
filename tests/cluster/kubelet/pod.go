package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
)

const restartPause = time.Second

// pod is a pod on this node, from its binding to its removal.
type pod struct {
	node    *node
	object  *v1.Pod // the version at the time of the binding; later changes are ignored
	address string
	number  int
	started time.Time

	ending chan struct{} // closed when the pod must terminate
	once   sync.Once

	lock     sync.Mutex
	process  *os.Process
	restarts int32
	lines    []line
}

// line is one line of the output of the process.
type line struct {
	time time.Time
	text string
}

func newPod(n *node, object *v1.Pod, address string, number int) *pod {
	return &pod{node: n, object: object, address: address, number: number, started: time.Now(), ending: make(chan struct{})}
}

// terminate starts the termination of the pod. It can be called repeatedly.
func (p *pod) terminate() { p.once.Do(func() { close(p.ending) }) }

// kill terminates the pod without a grace period.
func (p *pod) kill() {
	p.terminate()
	p.signal(syscall.SIGKILL)
}

func (p *pod) signal(number syscall.Signal) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.process != nil {
		_ = p.process.Signal(number)
	}
}

// live runs the process of the pod and restarts it when it exits, until the pod is terminated. Then it removes the pod.
func (p *pod) live(ctx context.Context) {
	defer p.node.remove(ctx, p.object)
	dir := filepath.Join(p.node.dir, "pods", string(p.object.UID))
	defer os.RemoveAll(dir)
	mounts, err := p.files(ctx, dir)
	if err != nil {
		return
	}
	for {
		if err := p.runOnce(ctx, mounts); err != nil {
			fmt.Fprintf(os.Stderr, "kubelet: pod %s/%s: %v\n", p.object.Namespace, p.object.Name, err)
		}
		select {
		case <-p.ending:
			return
		case <-ctx.Done():
			return
		case <-time.After(restartPause):
			p.restarts++
		}
	}
}

// runOnce starts the process, connects it to the bridge, reports its readiness, and returns after it has exited.
func (p *pod) runOnce(ctx context.Context, mounts map[string]string) error {
	container := p.object.Spec.Containers[0]
	words := p.node.images.command(container.Image)
	if words == nil {
		fmt.Fprintf(os.Stderr, "kubelet: no program for image %s: the pod is reported as ready\n", container.Image)
		p.report(ctx, true)
		<-p.ending
		return nil
	}
	variables := p.environment(mounts)
	for _, argument := range container.Args {
		words = append(words, expanded(placed(argument, mounts), variables))
	}
	words = append(confinement(container), words...)
	command := exec.Command(words[0], words[1:]...)
	command.Env = variables
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL, Setpgid: true}
	output, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	command.Stderr = command.Stdout
	if err := command.Start(); err != nil {
		return err
	}
	p.lock.Lock()
	p.process = command.Process
	p.lock.Unlock()
	ended := make(chan struct{})
	go func() {
		p.keep(output)
		_ = command.Wait()
		close(ended)
	}()
	err = setSysctls(command.Process.Pid, p.object)
	if err == nil {
		err = plug(command.Process.Pid, p.cable(), p.address)
	}
	if err != nil {
		p.signal(syscall.SIGKILL)
		<-ended
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go p.watchReadiness(watching)
	p.wait(ctx, ended)
	stop()
	if ctx.Err() == nil && !p.isEnding() {
		p.report(ctx, false)
	}
	return nil
}

// cable is the number of the link, which is different for each restart of each pod.
func (p *pod) cable() int { return p.number*100 + int(p.restarts%100) }

func (p *pod) isEnding() bool {
	select {
	case <-p.ending:
		return true
	default:
		return false
	}
}

// wait returns when the process has exited. When the pod is terminated, wait sends SIGTERM, and SIGKILL after the grace period.
func (p *pod) wait(ctx context.Context, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-p.ending:
	case <-ctx.Done():
	}
	if hook := p.object.Spec.Containers[0].Lifecycle; hook != nil && hook.PreStop != nil && hook.PreStop.Sleep != nil {
		select {
		case <-ended:
		case <-time.After(time.Duration(hook.PreStop.Sleep.Seconds) * time.Second):
		}
	}
	p.signal(syscall.SIGTERM)
	grace := 30 * time.Second
	if seconds := p.object.Spec.TerminationGracePeriodSeconds; seconds != nil {
		grace = time.Duration(*seconds) * time.Second
	}
	select {
	case <-ended:
	case <-time.After(grace):
		p.signal(syscall.SIGKILL)
		<-ended
	}
}

// keep stores the output of the process for requests of its log.
func (p *pod) keep(output io.Reader) {
	scanner := bufio.NewScanner(output)
	scanner.Buffer(make([]byte, 64*1024), 1<<20)
	for scanner.Scan() {
		p.lock.Lock()
		p.lines = append(p.lines, line{time.Now(), scanner.Text()})
		p.lock.Unlock()
	}
}
