package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const longSessions = `
The logins of the users of an embedded provider (uma_sts with 'provider'): browsers
that know the user, and applications that have tokens of his.`

const longSessionsAdmin = `
It asks the running Caddy through its admin API: at --address, else where the
--config file says, else at Caddy's default. --issuer says which uma_sts is meant, if
there are several.

Exit status: 0 done, 1 refused or not found, 2 wrong usage, 3 Caddy does not answer
or cannot do it at the moment.`

func sessionsCommand() *cobra.Command {
	return group("sessions", "Logins of the users of an embedded provider", longSessions+"\n"+longSessionsAdmin,
		sessionsListCommand(), sessionsShowCommand(), sessionsRevokeCommand())
}

// sessionFlags are those of the commands about sessions.
func sessionFlags(cmd *cobra.Command, a interface{ flags(*cobra.Command) }) {
	a.flags(cmd)
	cmd.Flags().Lookup("issuer").Usage = "issuer of the uma_sts, if several run there"
}

func sessionsListCommand() *cobra.Command {
	l, user := new(listOptions), ""
	cmd := &cobra.Command{
		Use: "list [flags]", Short: "Show where users are logged in", Long: longSessions + "\n" + longSessionsAdmin,
		Args: between(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return finish(cmd, listSessions(cmd, l, user)) },
	}
	sessionFlags(cmd, l)
	cmd.Flags().StringVar(&user, "user", "", "only of this user, by his e-mail address")
	return cmd
}

func sessionsShowCommand() *cobra.Command {
	a := new(adminOptions)
	cmd := &cobra.Command{
		Use: "show [flags] SESSION|EMAIL", Short: "Show a session, or a user with his consents",
		Long: longSessions + "\n" + longSessionsAdmin, Args: one("the id of a session, or an e-mail address"),
		RunE: func(cmd *cobra.Command, args []string) error { return finish(cmd, showSession(cmd, a, args[0])) },
	}
	sessionFlags(cmd, a)
	return cmd
}

func sessionsRevokeCommand() *cobra.Command {
	a := new(adminOptions)
	cmd := &cobra.Command{
		Use: "revoke [flags] SESSION|EMAIL", Short: "End a session, or all of a user",
		Long: `
Ends a session, or with an e-mail address all of a user, at all nodes at once: his
browsers have to log in again, and access and refresh tokens of applications are
dead. What goes on: claims tokens for some minutes, RPTs that authorization servers
gave for them, and the user's consents. The user may log in again: to keep him out,
take him out of the configuration, or disable him in the users file.
` + longSessionsAdmin,
		Args: one("the id of a session, or an e-mail address"),
		RunE: func(cmd *cobra.Command, args []string) error { return finish(cmd, revokeSession(cmd, a, args[0])) },
	}
	sessionFlags(cmd, a)
	return cmd
}

// session and userSessions are answers of the admin API.
type session struct {
	ID       string    `json:"session_id"`
	Kind     string    `json:"kind"`
	User     string    `json:"user"`
	Counts   bool      `json:"counts"`
	LoggedIn time.Time `json:"logged_in_at"`
	Expires  time.Time `json:"expires_at"`
	Clients  []string  `json:"client_ids"`
	Scope    string    `json:"scope"`
	Refresh  bool      `json:"refresh_token"`
}

type userSessions struct {
	Sessions []session `json:"sessions"`
	Next     string    `json:"next"`
	Consents []struct {
		Client string    `json:"client_id"`
		Target string    `json:"target"`
		Claims []string  `json:"claims"`
		Given  time.Time `json:"given_at"`
	} `json:"consents"`
	More bool `json:"more_consents"`
}

func listSessions(cmd *cobra.Command, l *listOptions, user string) error {
	get := l.get(showSTS+"sessions", nil)
	if user != "" {
		get = l.search(showSTS+"sessions/search", map[string]any{"user": user})
	}
	all, err := l.pages("sessions", get)
	if err != nil {
		return err
	}
	return l.show(cmd, "sessions", all, "Nobody is logged in.", fillSessions)
}

func fillSessions(entries []json.RawMessage) (*table, error) {
	list, err := decodeAll[session](entries)
	return sessionTable(list), err
}

func sessionTable(list []session) *table {
	t := &table{head: []string{"SESSION", "USER", "IN", "SINCE"}, drop: []int{3}, cut: []int{1, 2}}
	for _, s := range list {
		t.add(s.ID, s.User, s.where(), day(s.LoggedIn))
	}
	return t
}

// where is the browser or the application.
func (s *session) where() string {
	text := "browser"
	if s.Kind != "browser" {
		text = strings.Join(s.Clients, " ")
	}
	if !s.Counts {
		text += " (void)"
	}
	return text
}

func showSession(cmd *cobra.Command, a *adminOptions, which string) error {
	if strings.Contains(which, "@") {
		return showUser(cmd, a, which)
	}
	if !isWord(which, hashLength) {
		return notAnID("session", which)
	}
	answer, err := a.call(http.MethodGet, showSTS+"sessions/"+which, nil, nil)
	if err != nil {
		return err
	}
	return tell(cmd, a, answer, func(s *session) error {
		void := ""
		if !s.Counts {
			void = "the user has another password or is gone, or the client may not be used"
		}
		return printFacts(cmd.OutOrStdout(), []fact{
			{"session", s.ID},
			{"user", s.User},
			{"in", s.Kind},
			{"clients", strings.Join(s.Clients, " ")},
			{"scope", s.Scope},
			{"since", at(s.LoggedIn)},
			{"until", at(s.Expires)},
			{"refresh token", yes(s.Refresh)},
			{"void", void},
		})
	})
}

func showUser(cmd *cobra.Command, a *adminOptions, user string) error {
	answer, err := a.call(http.MethodPost, showSTS+"sessions/search", nil, map[string]any{"user": user, "limit": defaultLimit})
	if err != nil {
		return err
	}
	return tell(cmd, a, answer, func(u *userSessions) error {
		if len(u.Sessions) == 0 {
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "The user is logged in nowhere.")
		} else if err := sessionTable(u.Sessions).print(cmd.OutOrStdout()); err != nil {
			return err
		}
		if len(u.Consents) > 0 {
			_, _ = fmt.Fprintln(cmd.OutOrStdout())
			t := &table{head: []string{"CONSENT WITH", "TARGET", "CLAIMS", "GIVEN"}, cut: []int{0, 1, 2}}
			for _, c := range u.Consents {
				t.add(c.Client, c.Target, strings.Join(c.Claims, " "), day(c.Given))
			}
			if err := t.print(cmd.OutOrStdout()); err != nil {
				return err
			}
		}
		if u.Next != "" || u.More {
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "There is more: caddy uma sessions list --limit 0 --user %s\n", shellWord(printable(user)))
		}
		return nil
	})
}

func revokeSession(cmd *cobra.Command, a *adminOptions, which string) error {
	body := map[string]any{"user": which}
	if !strings.Contains(which, "@") {
		if !isWord(which, hashLength) {
			return notAnID("session", which)
		}
		body = map[string]any{"session_id": which}
	}
	answer, err := a.call(http.MethodPost, changeSTS+"sessions/revoke", nil, body)
	if err != nil {
		return err
	}
	var ended struct{ Browsers, Applications *int }
	if err := json.Unmarshal(answer, &ended); err != nil || ended.Browsers == nil || ended.Applications == nil {
		return unreadable(err)
	}
	if a.json {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "Ended: %d in browsers, %d in applications.\n", *ended.Browsers, *ended.Applications)
	return err
}
