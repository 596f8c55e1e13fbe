package image

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// machines has the platforms of a release, each with the machine that its programs run on.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// TestPlatforms: the index that `make build` makes with PLATFORMS has a right image for each
// platform. A second build of the same source has the same layers.
func TestPlatforms(t *testing.T) {
	index := strings.Replace(name, ":", "-index:", 1)
	if out, err := build(index, "PLATFORMS=linux/amd64 linux/arm64"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Cleanup(func() { buildah(t, "manifest", "rm", index) })
	again := map[string]string{"amd64": name, "arm64": strings.Replace(name, ":", "-arm64:", 1)}
	if out, err := build(again["arm64"], "PLATFORMS=linux/arm64"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Cleanup(func() { buildah(t, "rmi", "--force", again["arm64"]) })

	if got := platforms(t, index); !slices.Equal(got, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("the index is of %q", got)
	}
	for arch, machine := range machines {
		t.Run(arch, func(t *testing.T) {
			root, c := platform(t, index, arch)
			if c.OCIv1.Architecture != arch {
				t.Errorf("the image says that it is for %s", c.OCIv1.Architecture)
			}
			wantLabels(t, c)
			if first, second := c.OCIv1.RootFS.DiffIDs, inspect(t, again[arch]).OCIv1.RootFS.DiffIDs; !slices.Equal(first, second) {
				t.Errorf("layers %v, then %v", first, second)
			}
			wantPrograms(t, root, machine)
			wantSums(t, root)
			wantLicenses(t, root)
			wantBOM(t, root)
			wantRuns(t, root, arch)
		})
	}
}

// platforms returns the platforms of an index.
func platforms(t *testing.T, index string) (all []string) {
	t.Helper()
	var list struct {
		Manifests []struct {
			Platform struct{ OS, Architecture string }
		}
	}
	if err := json.Unmarshal([]byte(buildah(t, "manifest", "inspect", index)), &list); err != nil {
		t.Fatal(err)
	}
	for _, m := range list.Manifests {
		all = append(all, m.Platform.OS+"/"+m.Platform.Architecture)
	}
	slices.Sort(all)
	return all
}

// platform returns the root file system and the configuration of an index's image for a platform.
func platform(t *testing.T, index, arch string) (root string, c config) {
	t.Helper()
	container := buildah(t, "from", "--pull-never", "--platform", "linux/"+arch, index)
	t.Cleanup(func() { buildah(t, "rm", container) })
	var of struct{ FromImageID string }
	if err := json.Unmarshal([]byte(buildah(t, "inspect", container)), &of); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { buildah(t, "umount", container) })
	return buildah(t, "mount", container), inspect(t, of.FromImageID)
}

// wantLabels checks the image's labels.
func wantLabels(t *testing.T, c config) {
	t.Helper()
	for label, want := range map[string]string{"title": "logger", "version": "v0.0.0", "licenses": "MIT"} {
		if got := c.OCIv1.Config.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}
}

// wantPrograms checks that every executable is a static program for the machine, without libraries
// or a loader.
func wantPrograms(t *testing.T, root string, machine elf.Machine) {
	t.Helper()
	found := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil || info.Mode()&0o111 == 0 {
			return err
		}
		found++
		program, err := elf.Open(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		defer func() { _ = program.Close() }()
		if program.Machine != machine || program.Type != elf.ET_EXEC {
			t.Errorf("%s is for %s, and of type %s", path, program.Machine, program.Type)
		}
		for _, p := range program.Progs {
			if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
				t.Errorf("%s is not static: it has a %s", path, p.Type)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if found != 4 {
		t.Errorf("%d executables, want the host and three plugins", found)
	}
}

// wantSums checks that the image's list of checksums is that of its plugins.
func wantSums(t *testing.T, root string) {
	t.Helper()
	plugins, err := filepath.Glob(filepath.Join(root, "opt/logger/plugins/*"))
	if err != nil {
		t.Fatal(err)
	}
	want := ""
	for _, plugin := range plugins { // Glob returns them in order
		b, err := os.ReadFile(plugin)
		if err != nil {
			t.Fatal(err)
		}
		want += fmt.Sprintf("%x  %s\n", sha256.Sum256(b), filepath.Base(plugin))
	}
	got, err := os.ReadFile(filepath.Join(root, "opt/logger/plugins.sha256"))
	if err != nil || string(got) != want {
		t.Errorf("plugins.sha256 (%v):\n%s\nwant\n%s", err, got, want)
	}
}

// wantLicenses checks that the image has the licence of each module of its programs.
func wantLicenses(t *testing.T, root string) {
	t.Helper()
	licenses, err := os.ReadFile(filepath.Join(root, "opt/logger/THIRD_PARTY_LICENSES"))
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"sbin/logger", "plugins/logger-storage-memory"} {
		info, err := buildinfo.ReadFile(filepath.Join(root, "opt/logger", program))
		if err != nil {
			t.Fatal(err)
		}
		for _, dep := range info.Deps {
			if want := "=\n" + dep.Path + " " + dep.Version + "\n"; !bytes.Contains(licenses, []byte(want)) {
				t.Errorf("%s holds %s %s, of which there is no licence", program, dep.Path, dep.Version)
			}
		}
	}
	if b, err := os.ReadFile(filepath.Join(root, "opt/logger/LICENSE")); err != nil || len(b) == 0 {
		t.Errorf("our own licence: %d bytes, %v", len(b), err)
	}
}

// wantBOM checks that the image's bill of materials lists all that its programs are made of.
func wantBOM(t *testing.T, root string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "opt/logger/sbom.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat, SpecVersion string
		Components             []struct{ Type, Version, PURL string }
		Dependencies           []struct {
			Ref       string
			DependsOn []string
		}
	}
	if err := json.Unmarshal(text, &bom); err != nil || bom.BOMFormat != "CycloneDX" || bom.SpecVersion != "1.6" {
		t.Fatalf("the bill of materials is %s %s, %v", bom.BOMFormat, bom.SpecVersion, err)
	}
	listed := map[string]bool{}
	for _, c := range bom.Components {
		listed[c.PURL] = true
		if c.Type == "application" && c.Version != "v0.0.0" {
			t.Errorf("a program is of version %q", c.Version)
		}
	}
	parts := map[string][]string{}
	for _, d := range bom.Dependencies {
		parts[d.Ref] = d.DependsOn
	}
	for file, name := range map[string]string{"sbin/logger": "logger", "plugins/logger-storage-memory": "logger-bundled"} {
		info, err := buildinfo.ReadFile(filepath.Join(root, "opt/logger", file))
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go")}
		for _, dep := range info.Deps {
			want = append(want, "pkg:golang/"+dep.Path+"@"+dep.Version)
		}
		if name == "logger" {
			want = append(want, pagePackages(t)...)
		}
		slices.Sort(want)
		if !slices.Equal(parts[name], want) {
			t.Errorf("%s is made of %q, and the list has %q", file, want, parts[name])
		}
		for _, purl := range want {
			if !listed[purl] {
				t.Errorf("%s is no component", purl)
			}
		}
	}
}

// pagePackages returns the npm packages in the host's page.
func pagePackages(t *testing.T) (purls []string) {
	t.Helper()
	for name, file := range map[string]string{
		"htm": "htm", "preact": "preact", "%40preact/signals": "preact-signals", "%40preact/signals-core": "preact-signals-core",
	} {
		text, err := os.ReadFile("../../host/page/assets/vendor/LICENSE." + file)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		_, version, _ := strings.Cut(first, " ")
		purls = append(purls, "pkg:npm/"+name+"@"+version)
	}
	return purls
}

// wantRuns starts the host and a plugin. Those of another machine run by emulation.
func wantRuns(t *testing.T, root, arch string) {
	t.Helper()
	host := filepath.Join(root, "opt/logger/sbin/logger")
	plugin := filepath.Join(root, "opt/logger/plugins/logger-storage-redis")
	version, alone := []string{host, "version"}, []string{plugin}
	if arch == "arm64" { // all plugins are one program, which acts by the name that it is called by
		version = append([]string{"qemu-aarch64"}, version...)
		alone = []string{"qemu-aarch64", "-0", plugin, plugin}
	}
	out, err := exec.CommandContext(t.Context(), version[0], version[1:]...).CombinedOutput()
	head, headErr := exec.CommandContext(t.Context(), "git", "rev-parse", "HEAD").Output()
	if err != nil || headErr != nil || !strings.HasPrefix(string(out), "logger v0.0.0 "+strings.TrimSpace(string(head))+" ") ||
		!strings.HasSuffix(string(out), " linux/"+arch+"\n") {
		t.Errorf("logger version: %v: %s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), alone[0], alone[1:]...).CombinedOutput(); err == nil || !strings.Contains(string(out), "plugin") {
		t.Errorf("a plugin started without a host: %v: %s", err, out)
	}
}
