package op

import "time"

// words are claims in plain words.
//
//nolint:gochecknoglobals // a table
var words = map[string]string{
	"email": "your e-mail address", "name": "your name", "given_name": "your given name",
	"family_name": "your family name", "middle_name": "your middle name", "nickname": "your nickname",
	"preferred_username": "your user name", "profile": "the address of your profile page",
	"picture": "your picture", "website": "your website", "gender": "your gender",
	"birthdate": "your date of birth", "zoneinfo": "your time zone", "locale": "your language",
	"phone_number": "your telephone number", "phone_number_verified": "whether your telephone number was checked",
	"address": "your postal address", "updated_at": "when your data was changed last",
	"groups": "your groups", "roles": "your roles",
}

// claimWords says what a claim is.
func claimWords(name string) string {
	if known, ok := words[name]; ok {
		return known
	}
	return `your “` + shown(name) + `”`
}

// released says what a target learns: these always, and the claims.
func released(claims []string) []string {
	all := []string{"who you are (an identifier)", claimWords("email")}
	for _, name := range claims {
		switch name {
		case "sub", "email", "email_verified":
		default:
			all = append(all, claimWords(name))
		}
	}
	return all
}

// day is a date, for people and for machines.
type day struct{ Text, Machine string }

func dayOf(t time.Time) day {
	t = t.UTC()
	return day{t.Format("2 January 2006"), t.Format(time.DateOnly)}
}
