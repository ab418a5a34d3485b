package cli

import "github.com/spf13/cobra"

func storeCommand() *cobra.Command {
	return group("store", "The document store of authorization servers and providers", `
Authorization servers and embedded providers keep what they know in a store: grants,
tokens, registered resources, spent tickets, blocks, logins, and with 'keys store'
their keys.`, storeMigrateCommand())
}

// migrateOptions are the flags of `store migrate`.
type migrateOptions struct {
	from, to, adapter string
	json              bool
}

func storeMigrateCommand() *cobra.Command {
	m := new(migrateOptions)
	cmd := &cobra.Command{
		Use:   "migrate [flags] --from STORE --to STORE",
		Short: "Move everything into another store",
		Long: `
Moves all documents of one store into another one, which must be empty, and its id
with them: tickets, tokens, grants, blocks and logins go on there. For growing from
one machine to several: from bolt to PostgreSQL, or back.

Stop the servers first, all that use either store: they work again as soon as their
configuration names the new one. A store that is left is refused while a server has
its file open, or has given a sign of life in the database in the last half minute;
whoever starts one later is not seen by this command.

A STORE is one of

  bolt                   the default file in Caddy's data directory
  bolt:PATH              another one
  postgres:{env.NAME}    a database, by its DSN in a variable of the environment
  postgres:{file./PATH}  or in a file; postgres:DSN only if no password is in it
  FILE                   the store of a configuration: a Caddyfile or JSON, with
                         its schema, if that is not 'uma'

All or nothing: what was written is read again and compared before it counts. If it
fails, the old store is as it was and the new one is empty. If the command is killed,
a half-filled bolt file is refused from then on (remove it), and PostgreSQL undoes the
work; killed in the last moment, it is finished by running it again. Afterwards the old store keeps its documents, as a backup, but gets another id:
a server that is started with it by mistake takes no ticket of before. Remove it when
you are sure.

Into PostgreSQL it needs the rights of the owner of the schema.

Exit status: 0 done, 1 refused, 2 wrong usage, 3 a store cannot be opened, read or
written.`,
		Example: `  caddy uma store migrate --from bolt --to 'postgres:{env.UMA_DSN}'
  caddy uma store migrate --from Caddyfile.old --to Caddyfile`,
		Args: between(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return finish(cmd, migrateStore(cmd, m)) },
	}
	f := cmd.Flags()
	f.StringVar(&m.from, "from", "", "the store that is left")
	f.StringVar(&m.to, "to", "", "the empty store that is filled")
	f.StringVarP(&m.adapter, "adapter", "a", "", "config adapter, if a STORE is a configuration that is neither a Caddyfile nor JSON")
	f.BoolVar(&m.json, "json", false, "print the answer as JSON")
	return cmd
}
