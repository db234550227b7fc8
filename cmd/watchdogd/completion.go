package main

import "github.com/spf13/cobra"

// addCompletion adds cobra's command for the completion of shells, with examples.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	completion, _, err := root.Find([]string{"completion"})
	if err != nil {
		return // root has no subcommands
	}
	completion.Example = `  watchdogd completion bash > /etc/bash_completion.d/watchdogd
  watchdogd completion fish > ~/.config/fish/completions/watchdogd.fish`
	for _, shell := range completion.Commands() {
		shell.Example = map[string]string{
			"bash": `  source <(watchdogd completion bash)
  watchdogd completion bash > /etc/bash_completion.d/watchdogd`,
			"zsh": `  source <(watchdogd completion zsh)
  watchdogd completion zsh > "${fpath[1]}/_watchdogd"`,
			"fish": `  watchdogd completion fish | source
  watchdogd completion fish > ~/.config/fish/completions/watchdogd.fish`,
			"powershell": `  watchdogd completion powershell | Out-String | Invoke-Expression
  watchdogd completion powershell >> $PROFILE`,
		}[shell.Name()]
	}
}
