// Package logql reads and evaluates the part of LogQL that this logger answers. It knows neither
// HTTP nor storage: [Parse] makes an [Expr] of a query, a [Pipeline] puts one line through the
// stages of a log query, an [Evaluation] makes series of lines, and [LogQuery.Pushdown] says what
// a storage may filter by.
//
// # What is accepted
//
//   - Selectors: {name="value", …} with = != =~ !~. Regular expressions are RE2, and match the
//     whole value.
//   - Line filters: |= != |~ !~, each with further texts behind or.
//   - Stages: json and logfmt (alone or with a list of labels; logfmt with --strict and
//     --keep-empty), label filters (text, number, duration and size; and, or, comma, parentheses),
//     line_format, label_format, drop and keep (names and matchers), decolorize.
//   - Ranges: count_over_time, rate, bytes_over_time and bytes_rate, with offset.
//   - Aggregations: sum, count, min, max, avg and topk, with by or without before or behind the
//     operand.
//   - Operators: + - * / % ^ and == != > >= < <= (with bool) between scalars and vectors. Two
//     vectors match where their labels are equal.
//   - Scalars, and vector(scalar).
//
// Everything else is an [Error] that tells the place and what is accepted there.
//
// # Templates
//
// line_format and label_format take text/template with labels as fields. A template may use if,
// with, variables, and and, or, not, eq, ne, lt, le, gt, ge and len; not range, define, template
// and block. Its functions are those of [templateFunctions]. A template whose output or whose work
// is more than [maxTemplateBytes] beyond the line's own length fails for that line.
//
// # Errors of a line
//
// A stage that cannot handle a line keeps it and sets the labels __error__ (JSONParserErr,
// LogfmtParserErr, LabelFilterErr or TemplateFormatErr) and __error_details__. Filters on numbers,
// durations and sizes let such a line pass; a metric query that counts one fails.
package logql
