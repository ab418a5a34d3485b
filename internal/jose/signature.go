package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
)

// The signatures of RFC 7518 §3 and RFC 8037 §3.1 with the standard library
// alone: the library that reads and writes keys costs half a signature more. Fuzz
// targets hold the two together.

// algES384 is the one algorithm here with another hash than SHA-256.
const algES384 = "ES384"

// isPSS tells the two algorithms of RSA apart.
func isPSS(alg string) bool { return alg == "PS256" }

// verifies checks a signature over input. fits must have said that the key is of
// the kind that the algorithm needs.
func verifies(public crypto.PublicKey, alg string, input, signature []byte) bool {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		der, ok := derOf(signature, coordinate(k))
		// It refuses r and s that are zero or not below the order of the curve.
		return ok && ecdsa.VerifyASN1(k, digest(alg, input), der)
	case ed25519.PublicKey:
		return ed25519.Verify(k, input, signature)
	case *rsa.PublicKey:
		if isPSS(alg) {
			// RFC 7518 §3.5: the salt is as long as the hash.
			return rsa.VerifyPSS(k, crypto.SHA256, digest(alg, input), signature, pssOptions()) == nil
		}
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, digest(alg, input), signature) == nil
	}
	return false
}

// signature makes one over input.
func signature(key Signer, input []byte) ([]byte, error) {
	public := key.Key.Public()
	if !fits(public, key.Alg) {
		return nil, errors.New("the key does not fit the algorithm")
	}
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		der, err := key.Key.Sign(rand.Reader, digest(key.Alg, input), hashOf(key.Alg))
		if err != nil {
			return nil, err
		}
		return fixedOf(der, coordinate(k))
	case ed25519.PublicKey:
		return key.Key.Sign(rand.Reader, input, crypto.Hash(0))
	}
	var opts crypto.SignerOpts = crypto.SHA256
	if isPSS(key.Alg) {
		opts = pssOptions()
	}
	return key.Key.Sign(rand.Reader, digest(key.Alg, input), opts)
}

func pssOptions() *rsa.PSSOptions {
	return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
}

func hashOf(alg string) crypto.Hash {
	if alg == algES384 {
		return crypto.SHA384
	}
	return crypto.SHA256
}

func digest(alg string, input []byte) []byte {
	if alg == algES384 {
		sum := sha512.Sum384(input)
		return sum[:]
	}
	sum := sha256.Sum256(input)
	return sum[:]
}

// coordinate is the length of r and of s.
func coordinate(k *ecdsa.PublicKey) int { return (k.Curve.Params().BitSize + 7) / 8 }

// Tags of ASN.1.
const (
	tagInteger  = 0x02
	tagSequence = 0x30
)

// derOf turns r and s of exactly size bytes each (RFC 7518 §3.4) into the
// SEQUENCE of two INTEGERs that the standard library verifies. At the sizes of
// P-256 and P-384 every length is one byte.
func derOf(signature []byte, size int) ([]byte, bool) {
	if len(signature) != 2*size {
		return nil, false
	}
	der := append(make([]byte, 0, 2*size+8), tagSequence, 0)
	der = appendInteger(der, signature[:size])
	der = appendInteger(der, signature[size:])
	der[1] = byte(len(der) - 2)
	return der, true
}

// appendInteger writes a positive number the one way that DER has: without
// leading zeroes but for one that keeps it positive.
func appendInteger(der, number []byte) []byte {
	number = bytes.TrimLeft(number, "\x00")
	if len(number) == 0 || number[0] >= 0x80 {
		return append(append(der, tagInteger, byte(len(number)+1), 0), number...)
	}
	return append(append(der, tagInteger, byte(len(number))), number...)
}

// fixedOf is the way back, of a signature that was just made.
func fixedOf(der []byte, size int) ([]byte, error) {
	if len(der) < 2 || der[0] != tagSequence || int(der[1]) != len(der)-2 {
		return nil, errSequence
	}
	signature, rest := make([]byte, 2*size), der[2:]
	for _, half := range [][]byte{signature[:size], signature[size:]} {
		if len(rest) < 2 || rest[0] != tagInteger || int(rest[1]) > len(rest)-2 {
			return nil, errSequence
		}
		number := bytes.TrimLeft(rest[2:2+int(rest[1])], "\x00")
		rest = rest[2+int(rest[1]):]
		if len(number) > size {
			return nil, errSequence
		}
		copy(half[size-len(number):], number)
	}
	if len(rest) > 0 {
		return nil, errSequence
	}
	return signature, nil
}

var errSequence = errors.New("not a signature of ECDSA")
