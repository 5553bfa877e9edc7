package files

import (
	"bufio"
	"io"
	"os"
	"path"
	"strings"
	"sync"
)

// octets is the type of what is not known.
const octets = "application/octet-stream"

// builtin has the types that web pages need. It comes before the system's table, which is missing on some systems and outdated
// on others. Texts are UTF-8. JSON is so by definition; XML says it itself.
var builtin = map[string]string{
	"html": "text/html; charset=utf-8", "htm": "text/html; charset=utf-8", "xhtml": "application/xhtml+xml",
	"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "mjs": "text/javascript; charset=utf-8",
	"json": "application/json", "map": "application/json", "webmanifest": "application/manifest+json",
	"jsonld": "application/ld+json", "geojson": "application/geo+json", "ndjson": "application/x-ndjson",
	"wasm": "application/wasm", "txt": "text/plain; charset=utf-8", "log": "text/plain; charset=utf-8",
	"md": "text/markdown; charset=utf-8", "csv": "text/csv; charset=utf-8", "vtt": "text/vtt; charset=utf-8",
	"ics": "text/calendar; charset=utf-8", "vcf": "text/vcard; charset=utf-8",
	"xml": "application/xml", "xsl": "application/xml", "rss": "application/rss+xml", "atom": "application/atom+xml",

	"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp", "avif": "image/avif",
	"svg": "image/svg+xml", "ico": "image/vnd.microsoft.icon", "bmp": "image/bmp", "tif": "image/tiff", "tiff": "image/tiff",
	"heic": "image/heic", "apng": "image/apng", "jxl": "image/jxl",

	"woff": "font/woff", "woff2": "font/woff2", "ttf": "font/ttf", "otf": "font/otf", "eot": "application/vnd.ms-fontobject",

	"mp3": "audio/mpeg", "m4a": "audio/mp4", "aac": "audio/aac", "ogg": "audio/ogg", "oga": "audio/ogg", "opus": "audio/ogg",
	"wav": "audio/wav", "flac": "audio/flac", "weba": "audio/webm", "mid": "audio/midi",
	"mp4": "video/mp4", "m4v": "video/mp4", "webm": "video/webm", "ogv": "video/ogg", "mov": "video/quicktime",
	"mkv": "video/matroska", "avi": "video/x-msvideo", "mpeg": "video/mpeg", "ts": "video/mp2t",
	"m3u8": "application/vnd.apple.mpegurl", "mpd": "application/dash+xml",

	"pdf": "application/pdf", "rtf": "application/rtf", "epub": "application/epub+zip",
	"zip": "application/zip", "gz": "application/gzip", "tgz": "application/gzip", "bz2": "application/x-bzip2",
	"xz": "application/x-xz", "zst": "application/zstd", "br": octets, "7z": "application/x-7z-compressed", "tar": "application/x-tar",
	"jar": "application/java-archive", "deb": "application/vnd.debian.binary-package", "rpm": "application/x-rpm",
	"doc": "application/msword", "xls": "application/vnd.ms-excel", "ppt": "application/vnd.ms-powerpoint",
	"docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	"odt":  "application/vnd.oasis.opendocument.text", "ods": "application/vnd.oasis.opendocument.spreadsheet",
	"odp": "application/vnd.oasis.opendocument.presentation",
	"bin": octets, "exe": octets, "iso": octets, "img": octets, "dmg": octets,
}

// systemTable is where Linux and the BSDs have their table.
const systemTable = "/etc/mime.types"

// system is the system's table, which is read once.
var system = sync.OnceValue(func() map[string]string {
	f, err := os.Open(systemTable)
	if err != nil {
		return nil
	}
	defer f.Close()
	return readTable(io.LimitReader(f, systemTableMax))
})

// systemTableMax is how many bytes of the system's table are read: several times its size on any system.
const systemTableMax = 1 << 20

// readTable reads lines of a type and its extensions. The first line of an extension counts.
func readTable(r io.Reader) map[string]string {
	table := make(map[string]string)
	for lines := bufio.NewScanner(r); lines.Scan(); {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) < 2 || !validType(words[0]) {
			continue
		}
		for _, extension := range words[1:] {
			if table[extension] == "" {
				table[extension] = withCharset(words[0])
			}
		}
	}
	return table
}

// validType reports whether s is type/subtype.
func validType(s string) bool {
	kind, sub, ok := strings.Cut(s, "/")
	return ok && isToken(kind) && isToken(sub)
}

func isToken(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&^_.+-") == ""
}

func withCharset(kind string) string {
	if strings.HasPrefix(kind, "text/") {
		return kind + "; charset=utf-8"
	}
	return kind
}

// TypeOf returns the media type of a file by the extension of its name, in any case: from the built-in table, or else from that
// of the system, /etc/mime.types. What neither knows is application/octet-stream. The first call reads the system's table.
func TypeOf(name string) string {
	extension := strings.TrimPrefix(path.Ext(name), ".")
	if extension == "" || len(extension) > 32 {
		return octets
	}
	extension = strings.ToLower(extension)
	if t := builtin[extension]; t != "" {
		return t
	}
	if t := system()[extension]; t != "" {
		return t
	}
	return octets
}

// Compressible reports whether a file of this type gets smaller if it is compressed.
func Compressible(kind string) bool {
	kind, _, _ = strings.Cut(kind, ";")
	switch {
	case strings.HasPrefix(kind, "text/"), strings.HasSuffix(kind, "+xml"), strings.HasSuffix(kind, "+json"):
		return true
	}
	switch kind {
	case "application/json", "application/xml", "application/wasm", "application/x-ndjson", "application/rtf",
		"application/vnd.apple.mpegurl", "application/vnd.ms-fontobject", "font/ttf", "font/otf", "image/bmp", "image/vnd.microsoft.icon",
		octets:
		return true
	}
	return false
}
