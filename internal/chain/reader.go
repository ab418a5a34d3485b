package chain

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
)

// MaxLine is the longest line that is read, in bytes.
const MaxLine = 1 << 20

// lines reads lines of a file, which may be packed with gzip.
type lines struct {
	r    *bufio.Reader
	line []byte
}

func newLines(r io.Reader) (*lines, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	if magic, err := in.Peek(2); err == nil && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		unpacked, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		in = bufio.NewReaderSize(unpacked, 64<<10)
	}
	return &lines{r: in}, nil
}

var errLong = errors.New("the line is longer than 1 MiB")

// next gives a line without its end, valid until the next call. whole is false for
// what the file ends with if that is no whole line. A line that is too long is
// skipped.
func (l *lines) next() (line []byte, whole bool, err error) {
	l.line = l.line[:0]
	long := false
	for {
		part, err := l.r.ReadSlice('\n')
		if long = long || len(l.line)+len(part) > MaxLine; !long {
			l.line = append(l.line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && (!errors.Is(err, io.EOF) || len(l.line) == 0 && !long):
			return nil, false, err
		case long:
			return nil, err == nil, errLong
		}
		line, whole = bytes.CutSuffix(l.line, []byte{'\n'})
		return line, whole, nil
	}
}
