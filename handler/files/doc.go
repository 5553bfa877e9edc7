// Package files decides how a file is sent in response to a request: as a whole, in part, or not at all.
//
// A [Plan] is made from the conditional and range fields of a request ([Request]), what is known about the file ([File]), and
// what the sender wants ([Options]). It has the status, the field lines, and the body: parts of the file ([Part]) with text
// before, between and after them. The server uses it for files that it serves itself, workers for request:send_file, and
// Go handlers for Response.SendFile, so all of them follow the same rules of RFC 9110 §13 and §14.
//
// [TypeOf] knows the media types of file names, [Hashed] names that change with the contents of the file.
//
// A Plan owns its memory and uses it again with the next call of Make. What is in it is valid until then.
//
// The package opens, reads and sends nothing. Package static finds files for the paths of requests.
package files
