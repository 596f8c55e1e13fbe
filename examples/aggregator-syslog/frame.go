package main

import (
	"bufio"
	"errors"
	"io"
)

// errCut says that a connection ended inside a message.
var errCut = errors.New("the connection ended inside a message")

// readMessage reads the next message of a connection, by either framing of RFC 6587: "LENGTH SP
// MESSAGE", or a message and a line feed. It returns at most limit bytes, and passes over the rest
// of the message. The last line may lack its line feed. io.EOF is an end between messages.
func readMessage(r *bufio.Reader, limit int) ([]byte, error) {
	length, digits, err := readLength(r)
	if err != nil {
		return nil, err
	}
	if digits == nil {
		message, err := readAtMost(r, length, limit)
		if err != nil {
			return nil, errors.Join(errCut, err)
		}
		return message, nil
	}
	return readLine(r, digits, limit)
}

// maxDigits is how many a length may have.
const maxDigits = 9

// readLength reads a length, its space, and looks for the "<" behind. Anything else is the
// beginning of a line, which it returns.
func readLength(r *bufio.Reader) (length int, line []byte, err error) {
	line = make([]byte, 0, 64)
	for {
		b, err := r.ReadByte()
		if err != nil {
			switch {
			case len(line) == 0:
				return 0, nil, err
			case errors.Is(err, io.EOF):
				return 0, line, nil
			default:
				return 0, nil, errors.Join(errCut, err)
			}
		}
		line = append(line, b)
		digit := b >= '0' && b <= '9'
		if b == ' ' && length > 0 {
			if next, err := r.Peek(1); err == nil && next[0] == '<' {
				return length, nil, nil
			}
			return 0, line, nil
		}
		if !digit || len(line) > maxDigits {
			_ = r.UnreadByte()
			return 0, line[:len(line)-1], nil
		}
		length = 10*length + int(b-'0')
	}
}

func readAtMost(r *bufio.Reader, length, limit int) ([]byte, error) {
	message := make([]byte, min(length, limit))
	if _, err := io.ReadFull(r, message); err != nil {
		return nil, err
	}
	_, err := r.Discard(length - len(message))
	return message, err
}

// readLine reads the rest of a line.
func readLine(r *bufio.Reader, line []byte, limit int) ([]byte, error) {
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part[:min(len(part), max(0, limit-len(line)))]...)
		switch {
		case err == nil || errors.Is(err, io.EOF):
			return trimEnd(line), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, errors.Join(errCut, err)
		}
	}
}

// trimEnd cuts the end of a line off.
func trimEnd(line []byte) []byte {
	for _, end := range []byte("\n\r") {
		if n := len(line); n > 0 && line[n-1] == end {
			line = line[:n-1]
		}
	}
	return line
}
