package nsq

import (
	"strconv"
	"time"

	gonsq "github.com/nsqio/go-nsq"
)

// The answers to messages are written here, and not by go-nsq's Command, whose form
// costs five allocations a message. A test holds them against it.

func appendFinish(b []byte, id *gonsq.MessageID) []byte {
	b = append(b, "FIN "...)
	b = append(b, id[:]...)
	return append(b, '\n')
}

func appendTouch(b []byte, id *gonsq.MessageID) []byte {
	b = append(b, "TOUCH "...)
	b = append(b, id[:]...)
	return append(b, '\n')
}

func appendRequeue(b []byte, id *gonsq.MessageID, delay time.Duration) []byte {
	b = append(b, "REQ "...)
	b = append(b, id[:]...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, delay.Milliseconds(), 10)
	return append(b, '\n')
}
