// Package pipeline takes messages to storage: it decodes a message, batches its entries with what
// else waits, and appends the batch. Only then does it resolve the receipt, on which the aggregator
// acknowledges to its transport.
//
// Batches clock themselves: while one append is under way, the next batch gathers. So an idle
// system is instant and a busy one efficient, without a timer. There is one append at a time, in
// the order of delivery, so every app keeps its order.
package pipeline
