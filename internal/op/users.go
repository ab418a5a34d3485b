package op

import (
	"fmt"
	"strings"
)

// user is a User with what follows from it.
type user struct {
	User
	name string // the address in lower case
	id   string // sub
}

// directory are the users at one time. It is replaced as a whole, never changed.
type directory struct {
	byName   map[string]*user // by lower-cased e-mail address
	everyone []*user
}

// SetUsers replaces the users. Who is gone, or has another password, loses his
// sessions and tokens at once. After an error the users are as before.
func (p *Provider) SetUsers(users []User) error {
	d := &directory{byName: make(map[string]*user, len(users))}
	for _, u := range users {
		// Two spellings of one address would be two people with one name.
		name := strings.ToLower(u.Email)
		if name == "" || u.PasswordHash == "" {
			return fmt.Errorf("user '%s' needs an e-mail address and a password hash", u.Email)
		}
		if _, twice := d.byName[name]; twice {
			return fmt.Errorf("user '%s' is declared twice", u.Email)
		}
		known := &user{User: u, name: name, id: p.userID(name, u.Sub)}
		d.byName[name] = known
		d.everyone = append(d.everyone, known)
	}
	p.people.Store(d)
	return nil
}

// userID is the sub of a user.
func (p *Provider) userID(name, sub string) string {
	if sub != "" {
		name += "\x00" + sub // no address holds a zero
	}
	return p.subjectID(name)
}

// user finds a user by the lower-cased address; nil when there is none.
func (p *Provider) user(name string) *user { return p.people.Load().byName[name] }
