package caddysts

import (
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
)

func TestCompare(t *testing.T) {
	bcrypt := caddyauth.BcryptHash{}.FakeHash()
	argon := caddyauth.Argon2idHash{}.FakeHash()
	for name, hash := range map[string][]byte{"bcrypt": bcrypt, "argon2id": argon} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name == "bcrypt" {
				t.Skip("bcrypt of cost 14 takes a second")
			}
			if err := checkHash("bob", string(hash)); err != nil {
				t.Errorf("checkHash = %v", err)
			}
			if ok, err := compare(hash, []byte("antitiming")); !ok || err != nil {
				t.Errorf("right password: %v, %v", ok, err)
			}
			if ok, err := compare(hash, []byte("antitimin")); ok || err != nil {
				t.Errorf("wrong password: %v, %v", ok, err)
			}
		})
	}
	if ok, err := compare([]byte("plain"), []byte("plain")); ok || err == nil {
		t.Errorf("no hash: %v, %v", ok, err)
	}
}

func TestCheckHash(t *testing.T) {
	for _, hash := range []string{
		"", "secret", "$2a$14$short", "$1$abcdefgh$0123456789012345678901",
		"$argon2id$v=19$m=47104,t=1,p=0$P2nzckEdTZ3bxCiBCkRTyA$xQL3Z32eo5jKl7u5tcIsnEKObYiyNZQQf5/4sAau6Pg",
		"$argon2id$v=19$m=47104,t=0,p=1$P2nzckEdTZ3bxCiBCkRTyA$xQL3Z32eo5jKl7u5tcIsnEKObYiyNZQQf5/4sAau6Pg",
		"$argon2id$v=19$m=47104,t=1,p=999$P2nzckEdTZ3bxCiBCkRTyA$xQL3Z32eo5jKl7u5tcIsnEKObYiyNZQQf5/4sAau6Pg",
		"$argon2i$v=19$m=47104,t=1,p=1$P2nzckEdTZ3bxCiBCkRTyA$xQL3Z32eo5jKl7u5tcIsnEKObYiyNZQQf5/4sAau6Pg",
	} {
		if err := checkHash("bob", hash); err == nil {
			t.Errorf("checkHash(%q) = nil, want an error", hash)
		}
	}
}
