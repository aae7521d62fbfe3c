// Package archtest holds the architecture as tests: it parses every Go file of
// the module, in-process, and fails where one breaks a rule.
//
// Packages stand on floors and import only from floors below their own, so
// that the packages of one floor never know one another; a package that
// is not in the table of floors fails. A third-party dependency is used where
// its purpose is, and nowhere else. Library code does not panic on a user's
// mistake, log, exit, print or read the environment, and starts goroutines in
// two places only. Test files are bound by the rules that concern all text,
// and are free to import.
//
// The table and the exceptions, each with its reason, are in table_test.go, the
// rules in rules_test.go. A new package is one line in the table:
//
//	{"export/onnx", 6},
package archtest
