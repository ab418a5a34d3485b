package caddyrs

import (
	"net/url"
	"path"
	"regexp"
	"strings"
)

// upstreams are ways in which programs behind a proxy read the target of a
// request. They are written without the code under test.
var upstreams = map[string]func(target string) string{ //nolint:gochecknoglobals // a table of constants
	"net/http":      func(s string) string { return path.Clean("/"+decode(cut(s))) + slashed(decode(cut(s))) },
	"as written":    func(s string) string { return plain(cut(s)) },
	"nginx":         func(s string) string { return resolve(merge(decode(cut(s)))) },
	"decodes twice": func(s string) string { return resolve(merge(decode(decode(cut(s))))) },
	"three times":   func(s string) string { return resolve(merge(decode(decode(decode(cut(s)))))) },
	"tomcat":        func(s string) string { return resolve(merge(decode(params(cut(s))))) },
	"params late":   func(s string) string { return resolve(merge(params(decode(cut(s))))) },
	"params last":   func(s string) string { return params(resolve(decode(cut(s)))) },
	"backslash":     func(s string) string { return resolve(merge(strings.ReplaceAll(decode(cut(s)), `\`, "/"))) },
	"windows": func(s string) string {
		return resolve(merge(each(strings.ReplaceAll(decode(decode(cut(s))), `\`, "/"), trimmed)))
	},
	"case":      func(s string) string { return resolve(strings.ToLower(decode(cut(s)))) },
	"upper":     func(s string) string { return strings.ToUpper(resolve(decode(cut(s)))) },
	"no dots":   func(s string) string { return decode(cut(s)) },
	"merge":     func(s string) string { return merge(plain(cut(s))) },
	"c string":  func(s string) string { before, _, _ := strings.Cut(decode(cut(s)), "\x00"); return resolve(before) },
	"line":      func(s string) string { before, _, _ := strings.Cut(decode(cut(s)), "\n"); return resolve(before) },
	"url again": func(s string) string { return cut(decode(cut(s))) },
	"php": func(s string) string {
		p := resolve(decode(cut(s)))
		if i := strings.Index(strings.ToLower(p), ".php/"); i >= 0 {
			return merge(p[:strings.LastIndexByte(p[:i], '/')] + p[i+4:])
		}
		return p
	},
	"asp.net":   func(s string) string { return resolve(cookieless.ReplaceAllString(decode(cut(s)), "$2")) },
	"slash end": func(s string) string { return strings.TrimRight(resolve(merge(decode(cut(s)))), "/") },
	"wide": func(s string) string {
		return resolve(merge(strings.Map(func(r rune) rune {
			if r >= 0xff01 && r <= 0xff5e {
				return r - 0xff01 + '!'
			}
			return r
		}, decode(cut(s)))))
	},
	"invisible": func(s string) string {
		return resolve(strings.NewReplacer("\u200b", "", "\u200c", "", "\u200d", "", "\u00ad", "").Replace(decode(cut(s))))
	},
}

var cookieless = regexp.MustCompile(`/\(([A-Za-z]\([^)]*\))+\)(/|$)`)

// cut leaves the path of an absolute or other target.
func cut(target string) string {
	if i := strings.IndexAny(target, "?#"); i >= 0 {
		target = target[:i]
	}
	if i := strings.Index(target, "://"); i >= 0 && !strings.HasPrefix(target, "/") {
		rest := target[i+3:]
		if j := strings.IndexByte(rest, '/'); j >= 0 {
			return rest[j:]
		}
		return "/"
	}
	return target
}

func decode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if d, err := url.PathUnescape(s[i : i+3]); err == nil {
				b.WriteString(d)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// plain decodes what may be written in either way (RFC 3986 §6.2.2.2).
func plain(p string) string {
	return regexp.MustCompile(`%[4-7][0-9A-Fa-f]`).ReplaceAllStringFunc(p, func(e string) string {
		if d := decode(e); strings.ContainsAny(d, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			return d
		}
		return e
	})
}

func merge(p string) string { return regexp.MustCompile(`/{2,}`).ReplaceAllString(p, "/") }

func params(p string) string { return regexp.MustCompile(`;[^/]*`).ReplaceAllString(p, "") }

func trimmed(s string) string {
	if s == "." || s == ".." {
		return s
	}
	return strings.TrimRight(s, ". ")
}

func each(p string, f func(string) string) string {
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i] = f(parts[i])
	}
	return strings.Join(parts, "/")
}

func slashed(s string) string {
	if strings.HasSuffix(s, "/") && path.Clean("/"+s) != "/" {
		return "/"
	}
	return ""
}

// resolve removes dot segments (RFC 3986 §5.2.4).
func resolve(p string) string {
	var out []string
	parts := strings.Split(p, "/")
	for i, s := range parts {
		last := i == len(parts)-1
		switch s {
		case ".", "..":
			if s == ".." && len(out) > 1 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, s)
		}
	}
	return "/" + strings.TrimPrefix(strings.Join(out, "/"), "/")
}
