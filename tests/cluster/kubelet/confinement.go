package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// confinement returns the command prefix that drops all capabilities of a program except those that the container adds.
// It is empty unless the container drops ALL.
func confinement(container v1.Container) []string {
	context := container.SecurityContext
	if context == nil || context.Capabilities == nil || !slices.Contains(context.Capabilities.Drop, "ALL") {
		return nil
	}
	kept := "-all"
	for _, name := range context.Capabilities.Add {
		kept += ",+" + strings.ToLower(string(name))
	}
	return []string{"setpriv", "--bounding-set=" + kept, "--inh-caps=-all", "--no-new-privs"}
}

// setSysctls sets the sysctls of a pod in the network namespace of a process. Only network sysctls have an effect there.
func setSysctls(pid int, pod *v1.Pod) error {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	for _, one := range pod.Spec.SecurityContext.Sysctls {
		path := "/proc/sys/" + strings.ReplaceAll(one.Name, ".", "/")
		command := exec.Command("nsenter", "-t", fmt.Sprint(pid), "-n", "tee", path)
		command.Stdin = strings.NewReader(one.Value)
		if said, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("sysctl %s: %w: %s", one.Name, err, said)
		}
	}
	return nil
}

// expanded replaces $(NAME) in a text by the value of the container's variable.
func expanded(text string, variables []string) string {
	for _, variable := range variables {
		name, value, _ := strings.Cut(variable, "=")
		text = strings.ReplaceAll(text, "$("+name+")", value)
	}
	return text
}
