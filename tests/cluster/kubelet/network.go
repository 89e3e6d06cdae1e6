package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

const bridge = "br0"

// makeBridge creates the bridge that connects the pods; it has the address of the node.
func makeBridge() error {
	return batch(nil, "link add "+bridge+" type bridge", "addr add "+nodeAddress+"/16 dev "+bridge, "link set "+bridge+" up")
}

// plug adds an interface with an address to the network namespace of a process. The interface is removed with the process.
func plug(pid, number int, address string) error {
	cable := fmt.Sprintf("veth%d", number)
	if err := batch(nil,
		fmt.Sprintf("link add %s type veth peer name eth0 netns %d", cable, pid),
		fmt.Sprintf("link set %s master %s up", cable, bridge),
	); err != nil {
		return err
	}
	return batch([]string{"nsenter", "-t", fmt.Sprint(pid), "-n"},
		"link set lo up", "addr add "+address+"/16 dev eth0", "link set eth0 up", "route add default via "+nodeAddress)
}

// batch runs lines of ip(8) in one process. `through` is the prefix of the command.
func batch(through []string, lines ...string) error {
	words := append(through, "ip", "-batch", "-")
	command := exec.Command(words[0], words[1:]...)
	command.Stdin = strings.NewReader(strings.Join(lines, "\n"))
	command.Env = os.Environ()
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(lines, "; "), err, said)
	}
	return nil
}
