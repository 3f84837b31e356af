// Asks Masterminds/semver what Flux asks it: which versions a range takes. Prints JSON for
// ranges.json: for each range a text with one letter for each version ("y" or "n"), or an error.
//
//	go mod init ranges && go get github.com/Masterminds/semver/v3@v3.5.0 && go run ranges.go
//
// In ranges.json "?" stands where v3.5.0 and v3.2.1 (older releases of Flux) differ.
package main

import (
	"encoding/json"
	"os"
	"strings"

	"github.com/Masterminds/semver/v3"
)

var versions = []string{
	"0.0.0", "0.0.1", "0.0.3", "0.1.0", "0.2.0", "0.2.3", "0.3.0", "1.0.0", "1.0.1", "1.2.0", "1.2.3", "1.2.4", "1.3.0",
	"1.4.2", "1.5.0", "1.10.0", "2.0.0", "2.1.0", "3.0.0", "10.0.0", "v1.4.2", "1.0.0-alpha", "1.2.0-rc.1", "1.2.3-rc.1", "1.2.3-rc.2",
	"1.2.4-beta", "1.5.0-0", "1.5.0-rc1", "2.0.0-rc.1", "2.0.0-rc.10", "2.0.0-rc.2", "0.0.0-dev", "1.2.3+build.7", "1.4.2+7",
	"1.2", "1", "01.2.3", "1.2.3-01", "latest", "v", "1.2.3.4", "1.2.3-", "V1.2.3", " 1.2.3",
}

var operators = []string{"", "=", "!=", ">", "<", ">=", "=>", "<=", "=<", "~", "~>", "^"}

var operands = []string{
	"1.2.3", "1.2", "1", "v1.2.3", "1.2.x", "1.x", "x", "*", "1.X", "1.x.x", "1.2.*", "0.2.3", "0.0.3", "0.0", "0", "0.2", "0.0.0", "0.x",
	"1.2.3-rc.1", "1.2-rc.1", "1-0", "1.0.0-0", "0.0.0-0", "2.0.0-rc.2", "1.x-0", "*-0", "1.2.3+build.7", "1.2.3-rc.1+5", "10.0.0",
}

var written = []string{
	"", " ", ">=1.0.0 <2.0.0", ">=1.0.0, <2.0.0", ">=1.0.0,<2.0.0", ">= 1.0.0 < 2.0.0", "1.x || 2.x", "1.x||>=2.1", "1.2.3 - 2.0.0",
	"1.2 - 2", "1.2.3-rc.1 - 1.2.4", ">=1.0.0-0 <2.0.0-0", ">=1.0.0-0 <2.0.0", ">=1.0.0 <2.0.0-0", "~1.2 || ^2", "!=1.5.0", ">=1.4.0 !=1.5.0",
	">1 <3", ">=1.2.x <=1.4.x", "^1.2.3 !=1.2.4", "~1.4.0", "1.4.x", "5.0.0", ">=a", "1.2.3.4", ">= ", "||", "1.x ||", ">>1", "1.x 2.x",
	"latest", "=1.2.3 || =1.4.2", ">=1.0.0 , <2.0.0", "  ~1.2  ", "1.2.3 -2.0.0", "1.x - 2.x", ">=0.0.0-0 <1.0.0 || ^2.0.0", "> =1.0.0",
	">=1.0.0\t<2.0.0", "1.x,2.x", "^1.0.0-rc.1 <1.2.0", "~1.2.3 - 1.3.0", "01.2.3", "1.|.3", ">=1.0.0-rc_1", "1.2.3-", "x.2.3", "*.x", "1.x.3",
}

func check(text string, verdicts map[string]string) {
	constraint, err := semver.NewConstraint(text)
	if err != nil {
		verdicts[text] = "error"
		return
	}
	var row strings.Builder
	for _, each := range versions {
		// As fluxcd/pkg/version ParseVersion does: three numbers, which may be padded.
		if len(strings.SplitN(each, ".", 3)) != 3 {
			row.WriteByte('-')
			continue
		}
		version, err := semver.NewVersion(each)
		if err != nil {
			row.WriteByte('-')
		} else if constraint.Check(version) {
			row.WriteByte('y')
		} else {
			row.WriteByte('n')
		}
	}
	verdicts[text] = row.String()
}

func main() {
	verdicts := map[string]string{}
	for _, operator := range operators {
		for _, operand := range operands {
			check(operator+operand, verdicts)
		}
	}
	for _, text := range written {
		check(text, verdicts)
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(map[string]any{"versions": versions, "verdicts": verdicts}); err != nil {
		panic(err)
	}
}
