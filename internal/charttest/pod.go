package charttest

import (
	"cmp"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// Pod holds the part of a Deployment's pod that tells what runs in it.
type Pod struct {
	InitContainers []Container `yaml:"initContainers"`
	Containers     []Container `yaml:"containers"`
	Volumes        []Volume    `yaml:"volumes"`

	manifests Manifests
}

// Container holds one container of a pod.
type Container struct {
	Name         string   `yaml:"name"`
	Image        string   `yaml:"image"`
	Command      []string `yaml:"command"`
	Args         []string `yaml:"args"`
	Env          []env    `yaml:"env"`
	VolumeMounts []Mount  `yaml:"volumeMounts"`
	Ports        []struct {
		ContainerPort int `yaml:"containerPort"`
	} `yaml:"ports"`
}

type env struct {
	Name      string `yaml:"name"`
	Value     string `yaml:"value"`
	ValueFrom struct {
		SecretKeyRef struct{ Name, Key string } `yaml:"secretKeyRef"`
	} `yaml:"valueFrom"`
}

// Mount tells where a container mounts a volume, or a part of it.
type Mount struct {
	Name      string `yaml:"name"`
	MountPath string `yaml:"mountPath"`
	SubPath   string `yaml:"subPath"`
}

// Volume holds a volume of a pod: files of a secret or of a ConfigMap, or an empty folder.
type Volume struct {
	Name   string `yaml:"name"`
	Secret struct {
		SecretName  string      `yaml:"secretName"`
		DefaultMode os.FileMode `yaml:"defaultMode"`
		Items       []item      `yaml:"items"`
	} `yaml:"secret"`
	Projected struct {
		DefaultMode os.FileMode `yaml:"defaultMode"`
		Sources     []struct {
			Secret struct {
				Name  string `yaml:"name"`
				Items []item `yaml:"items"`
			} `yaml:"secret"`
		} `yaml:"sources"`
	} `yaml:"projected"`
	ConfigMap struct {
		Name        string      `yaml:"name"`
		DefaultMode os.FileMode `yaml:"defaultMode"`
	} `yaml:"configMap"`
}

// item names a key of a secret, and the file for its value.
type item struct{ Key, Path string }

// Logger returns the pod of the logger's Deployment.
func (m Manifests) Logger(t testing.TB) Pod {
	t.Helper()
	return m.Pod(t, "deis-logger")
}

// Pod returns the pod of the Deployment of that name.
func (m Manifests) Pod(t testing.TB, name string) Pod {
	t.Helper()
	var deployment struct {
		Spec struct{ Template struct{ Spec Pod } }
	}
	if !m.Find(t, "Deployment", name, &deployment) {
		t.Fatalf("no Deployment %s was rendered", name)
	}
	pod := deployment.Spec.Template.Spec
	pod.manifests = m
	return pod
}

// Secrets holds the cluster's secrets: keys and values by the secret's name.
type Secrets map[string]map[string]string

// Environment returns the container's environment, including values from secrets. The test fails if
// a variable is given twice, or if a secret or key is missing.
func (c Container) Environment(t testing.TB, secrets Secrets) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, v := range c.Env {
		if _, ok := out[v.Name]; ok {
			t.Errorf("%s is given twice", v.Name)
		}
		out[v.Name] = v.Value
		if ref := v.ValueFrom.SecretKeyRef; ref.Name != "" {
			value, ok := secrets[ref.Name][ref.Key]
			if !ok {
				t.Errorf("%s comes from the secret %q, key %q, which is not there", v.Name, ref.Name, ref.Key)
			}
			out[v.Name] = value
		}
	}
	return out
}

// LayOut writes the files of the pod's volumes below a folder, where the kubelet puts them for the
// container. It leaves out empty folders.
func (p Pod) LayOut(t testing.TB, c Container, secrets Secrets, below string) {
	t.Helper()
	for _, mount := range c.VolumeMounts {
		files, mode, ok := p.files(t, mount.Name, secrets)
		if !ok {
			continue
		}
		to := filepath.Join(below, mount.MountPath)
		if mount.SubPath != "" {
			content, ok := files[mount.SubPath]
			if !ok {
				t.Errorf("%s: the volume %s has no %s", mount.MountPath, mount.Name, mount.SubPath)
			}
			write(t, to, content, mode)
			continue
		}
		for name, content := range files {
			write(t, filepath.Join(to, name), content, mode)
		}
	}
}

// files returns the files of a volume, and their mode. It returns false for a volume of another
// kind.
func (p Pod) files(t testing.TB, volume string, secrets Secrets) (map[string]string, os.FileMode, bool) {
	t.Helper()
	for _, v := range p.Volumes {
		if v.Name != volume {
			continue
		}
		switch {
		case v.Secret.SecretName != "":
			return secrets.files(t, volume, v.Secret.SecretName, v.Secret.Items), v.Secret.DefaultMode, true
		case len(v.Projected.Sources) > 0:
			files := map[string]string{}
			for _, source := range v.Projected.Sources {
				maps.Copy(files, secrets.files(t, volume, source.Secret.Name, source.Secret.Items))
			}
			return files, v.Projected.DefaultMode, true
		case v.ConfigMap.Name != "":
			var configMap struct{ Data map[string]string }
			if !p.manifests.Find(t, "ConfigMap", v.ConfigMap.Name, &configMap) {
				t.Errorf("volume %s is of the ConfigMap %q, which is not rendered", volume, v.ConfigMap.Name)
			}
			return configMap.Data, v.ConfigMap.DefaultMode, true
		}
		return nil, 0, false
	}
	t.Errorf("a mount names the volume %s, which the pod does not have", volume)
	return nil, 0, false
}

// files returns the files of a volume made from the secret: the keys that items names, or all keys
// if there are no items.
func (s Secrets) files(t testing.TB, volume, secret string, items []item) map[string]string {
	t.Helper()
	values, ok := s[secret]
	if !ok {
		t.Errorf("volume %s is of the secret %q, which is not there", volume, secret)
	}
	if len(items) == 0 {
		return values
	}
	files := map[string]string{}
	for _, i := range items {
		if files[i.Path], ok = values[i.Key]; !ok {
			t.Errorf("volume %s has the key %q of the secret %q, which is not there", volume, i.Key, secret)
		}
	}
	return files
}

// write makes the file. Mode 0 means 0644, as in Kubernetes.
func write(t testing.TB, file, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // as the kubelet does: the container's user must reach it
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), cmp.Or(mode, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// Moved returns the environment with its paths, also those in lists, changed to lead below a folder
// which has the container's mounts and its image's programs.
func Moved(environment map[string]string, c Container, below string) map[string]string {
	out := maps.Clone(environment)
	places := append(make([]string, 0, 1+len(c.VolumeMounts)), "/opt/logger")
	for _, mount := range c.VolumeMounts {
		places = append(places, mount.MountPath)
	}
	for name, value := range out {
		parts := strings.Split(value, ":")
		for i, part := range parts {
			for _, place := range places {
				if part == place || strings.HasPrefix(part, place+"/") {
					parts[i] = path.Join(below, part)
					break
				}
			}
		}
		out[name] = strings.Join(parts, ":")
	}
	return out
}
