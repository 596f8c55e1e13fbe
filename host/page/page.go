package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/go-chi/chi/v5"
)

//go:embed assets
var files embed.FS

// policy holds the page's Content-Security-Policy. Scripts, styles and requests have to come from
// this origin, and nothing may be inline. No script can turn text into HTML: that needs a trusted
// type, and the policy allows none.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// contentTypes maps extensions of file names to content types. A file with another extension is not
// served.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".mjs": "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// asset holds a file as it is served.
type asset struct {
	contentType, etag string
	content           []byte
}

// Page answers requests for the page and its files.
type Page struct {
	assets  map[string]asset
	modules []string // the shell loads these scripts all at once
	shell   *template.Template
}

// New reads the embedded files.
func New() *Page {
	p := &Page{assets: make(map[string]asset)}
	root, err := fs.Sub(files, "assets")
	if err != nil {
		panic(err) // cannot fail: the name is a constant
	}
	p.shell = template.Must(template.ParseFS(root, "index.html"))
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		contentType := contentTypes[path.Ext(name)]
		if err != nil || entry.IsDir() || contentType == "" {
			return err
		}
		content, err := fs.ReadFile(root, name)
		if strings.HasPrefix(contentType, "text/javascript") {
			p.modules = append(p.modules, name)
		}
		sum := sha256.Sum256(content)
		p.assets[name] = asset{contentType: contentType, etag: `"` + hex.EncodeToString(sum[:12]) + `"`, content: content}
		return err
	})
	if err != nil {
		panic(err) // cannot fail: the file is embedded
	}
	return p
}

// Mount adds the routes. Each request first passes through admit, which may refuse it.
func (p *Page) Mount(r chi.Router, admit func(http.HandlerFunc) http.HandlerFunc) {
	r.Get("/", admit(p.serveShell))
	r.Get("/apps/{app}", admit(p.serveShell))
	r.Get("/apps/{app}/", admit(p.serveShell))
	r.Get("/sessions/{token}", admit(p.serveShell))
	r.Get("/sessions/{token}/", admit(p.serveShell))
	r.Get("/assets/*", admit(p.serveAsset))
}

// serveShell answers with the document that loads the page. Its links are relative, so it also
// works behind a proxy that serves the logger below a path.
func (p *Page) serveShell(w http.ResponseWriter, r *http.Request) {
	root := strings.Repeat("../", strings.Count(r.URL.EscapedPath(), "/")-1)
	if root == "" {
		root = "./"
	}
	var b bytes.Buffer
	if err := p.shell.Execute(&b, struct {
		Root    string
		Modules []string
	}{root, p.modules}); err != nil {
		panic(err) // cannot fail: the template is a constant
	}
	secure(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // a client that left needs no answer
}

// serveAsset answers with one of the page's files. Browsers ask again each time, and get the file
// only if it has changed.
func (p *Page) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := p.assets[chi.URLParam(r, "*")]
	secure(w.Header())
	if !ok {
		http.Error(w, "no such path", http.StatusNotFound)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", a.etag)
	if r.Header.Get("If-None-Match") == a.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", a.contentType)
	_, _ = w.Write(a.content) // a client that left needs no answer
}

// secure sets the headers that protect the page from other sites.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}
