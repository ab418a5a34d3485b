package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// maxInput is the largest file that is read: a body, a token, a password.
const maxInput = 16 << 20

// input reads files and, once, standard input.
type input struct {
	stdin io.Reader
	taken bool
}

// file reads a file, or standard input if the name is -.
func (in *input) file(name string) ([]byte, error) {
	from := in.stdin
	if name == "-" {
		if in.taken {
			return nil, usagef("standard input can be used for one thing only")
		}
		in.taken = true
	} else {
		f, err := os.Open(name) //nolint:gosec // the user named the file
		if err != nil {
			return nil, usageError{err}
		}
		defer func() { _ = f.Close() }()
		from = f
	}
	data, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	if err == nil && len(data) > maxInput {
		err = errors.New("more than 16 MiB")
	}
	if err != nil {
		return nil, usagef("reading %s: %w", name, err)
	}
	return data, nil
}

// line reads a file without the line end at its end.
func (in *input) line(name string) (string, error) {
	data, err := in.file(name)
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), err
}

// secret reads a value that must not stand in the arguments, because every user
// of the machine can read those: only @FILE and @- are taken.
func (in *input) secret(flag, value string) (string, error) {
	name, ok := strings.CutPrefix(value, "@")
	if !ok {
		return "", usagef("%s takes @FILE or @- (standard input): other users can read arguments", flag)
	}
	text, err := in.line(name)
	if err == nil && text == "" {
		return "", usagef("%s: %s is empty", flag, name)
	}
	return text, err
}

// prompter asks for a password.
type prompter interface {
	password(prompt string, to io.Writer) (string, error)
}

type terminal struct{}

// password asks on the terminal, without echo.
func (*terminal) password(prompt string, to io.Writer) (string, error) {
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return "", usagef("there is no terminal to ask for the password; log in first with caddy uma login, or use --password-file FILE (- for standard input)")
	}
	_, _ = fmt.Fprint(to, prompt)
	text, err := term.ReadPassword(fd)
	_, _ = fmt.Fprintln(to)
	return string(text), err
}
