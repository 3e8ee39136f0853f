// Package stock runs stock Apache Kafka programs — its command-line tools, its broker, the ZooKeeper server that comes with
// it — of any released version. The jars come from Maven Central, once per version, into a cache folder outside the source
// tree; a machine needs Java (17 for Kafka 4.x) and Maven for it, nothing else.
package stock

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"text/template"
)

// CacheEnv names the environment variable that overrides the cache folder (default: gregor-stock in the user's cache folder).
const CacheEnv = "GREGOR_STOCK_CACHE"

//go:embed pom.xml.tmpl
var pomTemplate string

//go:embed log4j.properties
var log4jProperties []byte

// A Release is one installed version of Apache Kafka.
type Release struct {
	Version string // as released, for example "3.9.2"
	dir     string // holds libs/, log4j.properties and, once everything is there, the file complete
}

var versionPattern = regexp.MustCompile(`^\d+\.\d+\.\d+(\.\d+)?$`)

// CacheDir is the folder under which every version has its own folder.
func CacheDir() (string, error) {
	if dir := os.Getenv(CacheEnv); dir != "" {
		return filepath.Abs(dir)
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder for stock Kafka; set %s: %w", CacheEnv, err)
	}
	return filepath.Join(base, "gregor-stock"), nil
}

// Install returns the release of that version and fetches its jars first when the cache does not have them. Several processes
// may call it at once: one fetches, the others wait.
func Install(ctx context.Context, version string) (*Release, error) {
	if !versionPattern.MatchString(version) {
		return nil, fmt.Errorf("stock: %q is not a Kafka version such as 3.9.2", version)
	}
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	release := &Release{Version: version, dir: filepath.Join(cache, version)}
	if release.complete() {
		return release, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	unlock, err := lockFile(filepath.Join(cache, version+".lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if release.complete() {
		return release, nil
	}
	if err := release.fetch(ctx); err != nil {
		return nil, fmt.Errorf("stock: fetching Kafka %s from Maven Central: %w", version, err)
	}
	return release, nil
}

// marker is written last: its presence says that every jar arrived. Its name carries the layout's version, so that a cache
// that an older layout filled is fetched anew.
func (r *Release) marker() string { return filepath.Join(r.dir, "complete-1") }

func (r *Release) complete() bool {
	_, err := os.Stat(r.marker())
	return err == nil
}

func (r *Release) fetch(ctx context.Context) error {
	if err := os.RemoveAll(r.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}
	var pom bytes.Buffer
	err := template.Must(template.New("pom").Parse(pomTemplate)).Execute(&pom, struct {
		Version      string
		Dependencies []dependency
	}{r.Version, dependencies(r.Version)})
	if err != nil {
		return err
	}
	pomFile := filepath.Join(r.dir, "pom.xml")
	if err := os.WriteFile(pomFile, pom.Bytes(), 0o644); err != nil {
		return err
	}
	mvn := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", pomFile, "dependency:copy-dependencies",
		"-DincludeScope=runtime", "-DoutputDirectory="+r.libs())
	if output, err := mvn.CombinedOutput(); err != nil {
		return fmt.Errorf("mvn: %w\n%s", err, output)
	}
	if err := os.WriteFile(r.log4j(), log4jProperties, 0o644); err != nil {
		return err
	}
	return os.WriteFile(r.marker(), nil, 0o644)
}

func (r *Release) libs() string  { return filepath.Join(r.dir, "libs") }
func (r *Release) log4j() string { return filepath.Join(r.dir, "log4j.properties") }

// ClassPath is what java's -cp takes to see every class of the release.
func (r *Release) ClassPath() string { return filepath.Join(r.libs(), "*") }

type dependency struct{ Group, Artifact, Version, Exclude string }

// dependencies lists what a release is made of. Jars moved over the years: tools left the broker's jar in 3.x, a log back end
// stopped coming along in 1.0, and releases 1.0 to 2.3 ask for ZooKeeper clients (3.4.11 to 3.4.14) that cannot resolve a
// host name on Java 14 and later, where 3.4.10 can.
func dependencies(version string) []dependency {
	const kafka = "org.apache.kafka"
	major, _ := strconv.Atoi(version[:strings.IndexByte(version, '.')])
	switch {
	case major == 0:
		return []dependency{{Group: kafka, Artifact: "kafka_2.11", Version: version}}
	case major < 3:
		return []dependency{
			{Group: "org.apache.zookeeper", Artifact: "zookeeper", Version: "3.4.10", Exclude: "io.netty"},
			{Group: kafka, Artifact: "kafka_2.11", Version: version},
			{Group: kafka, Artifact: "kafka-tools", Version: version},
			{Group: "org.slf4j", Artifact: "slf4j-log4j12", Version: "1.7.25"},
		}
	}
	list := []dependency{{Group: kafka, Artifact: "kafka_2.13", Version: version}}
	for _, artifact := range []string{"kafka-tools", "kafka-streams", "connect-runtime", "connect-file", "connect-mirror"} {
		list = append(list, dependency{Group: kafka, Artifact: artifact, Version: version})
	}
	return append(list, dependency{Group: "org.slf4j", Artifact: "slf4j-reload4j", Version: "1.7.36"})
}

// lockFile holds an exclusive lock on path until the returned function is called.
func lockFile(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { file.Close() }, nil
}
