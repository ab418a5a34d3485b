package postgres

import "io/fs"

// WithMigrations replaces the embedded steps.
func (o Options) WithMigrations(steps fs.FS) Options {
	o.migrations = steps
	return o
}

// Migrations are the embedded steps.
var Migrations = embedded
