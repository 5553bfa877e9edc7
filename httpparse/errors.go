package httpparse

// Error says why a peer's bytes are refused. All values are static: refusing costs no allocation, and errors may be
// compared with ==.
type Error struct {
	// Status is the status of the answer to the peer: 400, 413, 414, 415, 417, 431, 501, 502 or
	// 505.
	Status int
	// Reason says what is wrong, for logs. It contains none of the peer's bytes and is not meant to be sent to the
	// peer.
	Reason string
}

func (e *Error) Error() string { return e.Reason }

// Errors in the request line.
var (
	errEmptyLines     = &Error{400, "too many empty lines before the request line"}
	errLineEnd        = &Error{400, "line end that is not CR LF"}
	errMethod         = &Error{400, "malformed method"}
	errMethodLong     = &Error{501, "method too long"}
	errConnect        = &Error{501, "CONNECT is not implemented"}
	errTarget         = &Error{400, "malformed request target"}
	errTargetByte     = &Error{400, "invalid byte in the request target"}
	errTargetLong     = &Error{414, "request target too long"}
	errAuthority      = &Error{400, "malformed authority in the request target"}
	errAsterisk       = &Error{400, "request target * with a method other than OPTIONS"}
	errVersion        = &Error{400, "malformed HTTP version"}
	errVersionUnknown = &Error{505, "HTTP version other than 1.x"}
)

// Errors in the field section.
var (
	errFold       = &Error{400, "folded field line"}
	errNameEmpty  = &Error{400, "field line without a name"}
	errNameSpace  = &Error{400, "whitespace between field name and colon"}
	errNameByte   = &Error{400, "invalid byte in a field name"}
	errValueByte  = &Error{400, "control character in a field value"}
	errFieldCount = &Error{431, "too many field lines"}
	errOptions    = &Error{400, "too many options in Connection"}
	errHeadLarge  = &Error{431, "request head too large"}
)

// Errors in the framing.
var (
	errHostMissing     = &Error{400, "no Host field"}
	errHostTwice       = &Error{400, "more than one Host field"}
	errHost            = &Error{400, "malformed Host field"}
	errLength          = &Error{400, "malformed Content-Length"}
	errLengthTwice     = &Error{400, "more than one Content-Length field"}
	errLengthLarge     = &Error{413, "Content-Length exceeds 63 bits"}
	errLengthAndCoding = &Error{400, "Content-Length and Transfer-Encoding together"}
	errCoding10        = &Error{400, "Transfer-Encoding in HTTP/1.0"}
	errCoding          = &Error{400, "malformed Transfer-Encoding"}
	errCodingOrder     = &Error{400, "chunked is repeated or not the last transfer coding"}
	errCodingUnknown   = &Error{501, "unknown transfer coding"}
	errExpect          = &Error{417, "unknown expectation"}
)

// Errors in responses. The status is that of the answer of a server that has got such a response from another one.
var (
	errStatusLine  = &Error{502, "malformed status line"}
	errStatus      = &Error{502, "status that is not a number from 100 to 999"}
	errReason      = &Error{502, "control character in a reason phrase"}
	errNoBody      = &Error{502, "response that must not have a body announces one"}
	errResponseCut = &Error{502, "response ends before its body is complete"}
)

// Errors in bodies.
var (
	errBodyLarge      = &Error{413, "body too large"}
	errBodyCoding     = &Error{415, "content coding of the body"}
	errChunkSize      = &Error{400, "malformed chunk size"}
	errChunkSizeLarge = &Error{413, "chunk size exceeds 63 bits"}
	errChunkExt       = &Error{400, "malformed chunk extension"}
	errChunkExtLong   = &Error{400, "chunk extensions too long"}
	errChunkEnd       = &Error{400, "chunk data not followed by CR LF"}
	errTrailer        = &Error{400, "malformed trailer section"}
	errTrailerLarge   = &Error{431, "trailer section too large"}
)

// Errors in multipart bodies.
var (
	errBoundary           = &Error{400, "invalid multipart boundary"}
	errBoundaryLineEnd    = &Error{400, "boundary followed by a line end that is not CR LF"}
	errBoundaryPadding    = &Error{400, "too many blanks after a boundary"}
	errMultipartEnd       = &Error{400, "multipart body without closing boundary"}
	errPartHeadLarge      = &Error{431, "head of a part too large"}
	errPartLineCount      = &Error{431, "too many field lines in the head of a part"}
	errColonMissing       = &Error{400, "field line without a colon"}
	errDispositionMissing = &Error{400, "part without Content-Disposition"}
	errDispositionTwice   = &Error{400, "more than one Content-Disposition in a part"}
	errDispositionType    = &Error{400, "Content-Disposition of a part is not form-data"}
	errDisposition        = &Error{400, "malformed Content-Disposition of a part"}
	errPartNameMissing    = &Error{400, "part without a name"}
	errPartNameTwice      = &Error{400, "part with more than one name"}
	errFileNameTwice      = &Error{400, "part with more than one file name"}
	errPartTypeTwice      = &Error{400, "more than one Content-Type in a part"}
)
