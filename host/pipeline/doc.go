// Package pipeline is the way of a message into storage: decode it, batch its
// entry with what else waits, append the batch, and only then resolve the receipt
// on which the aggregator acknowledges to its transport.
//
// Batches are self-clocked: while one append is under way, the next batch gathers.
// So an idle system is instant and a busy one efficient, without a timer. There is
// one append at a time, in the order of delivery, so every app keeps its order.
package pipeline
