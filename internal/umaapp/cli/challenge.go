package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/caddy-uma/caddy-uma/internal/oauth"
)

func ticketChallengeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ticket-challenge TICKET|-",
		Short: "The challenge of a permission ticket",
		Long: `
Prints base64url(SHA-256(ticket)) without padding, 43 characters: the parameter
ticket_challenge of a token exchange. With - the ticket is read from standard
input; one line end behind it is not a part of it.`,
		Example: "  caddy uma ticket-challenge 016f84e8-f9b9-11e0-bd6f-0021cc6004de",
		Args:    one("the ticket, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return finish(cmd, ticketChallenge(cmd, args[0]))
		},
	}
}

func ticketChallenge(cmd *cobra.Command, ticket string) error {
	if ticket == "-" {
		in := input{stdin: cmd.InOrStdin()}
		text, err := in.line("-")
		if err != nil {
			return err
		}
		ticket = text
	}
	if ticket == "" {
		return usagef("the ticket is empty")
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), oauth.TicketChallenge(ticket))
	return err
}
