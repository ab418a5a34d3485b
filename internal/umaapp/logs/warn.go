package logs

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const accessLogger = "http.log.access"

// Lines to paste.
const (
	siteFilter    = "log {\n\tformat uma_filter\n}"
	defaultFilter = "{\n\tlog default {\n\t\tformat uma_filter\n\t}\n}"
)

// Warn names the logs that would show credentials of our sites (CONFORMANCE SEC-22):
// the access logs of sites with our directives, and Caddy's other lines about
// requests, which at DEBUG are many and else only those of errors.
func Warn(ctx caddy.Context, log *zap.Logger) {
	app, err := ctx.AppIfConfigured("http")
	web, ok := app.(*caddyhttp.App)
	if err != nil || !ok {
		return
	}
	ours := false
	for _, server := range web.Servers {
		hosts, any := ourHosts(server)
		if len(hosts) == 0 && !any {
			continue
		}
		ours = true
		for _, name := range accessLogs(server, hosts, any) {
			if shows(ctx, name) {
				log.Warn("an access log shows credentials (DPoP proofs, tickets, codes): put the filter into the site's log directive",
					zap.String("log", name), zap.String("lines", siteFilter))
			}
		}
	}
	if ours {
		warnDefaultLog(ctx, log)
	}
}

func warnDefaultLog(ctx caddy.Context, log *zap.Logger) {
	const errors, proxy = "http.log.error", "http.handlers.reverse_proxy"
	if !shows(ctx, errors) && !shows(ctx, proxy) {
		return
	}
	level, what := zapcore.InfoLevel, "lines about failed requests (5xx) show credentials of theirs (DPoP proofs, codes in addresses): put the filter into the global options"
	if ctx.Logger(named(proxy)).Core().Enabled(zapcore.DebugLevel) {
		level, what = zapcore.WarnLevel, "at DEBUG the log shows credentials (DPoP proofs, tickets, codes): put the filter into the global options"
	}
	if line := log.Check(level, what); line != nil {
		line.Write(zap.String("lines", defaultFilter))
	}
}

// ourHosts are the hosts of a server's sites that have one of our directives; any
// says that one has no host of its own.
func ourHosts(server *caddyhttp.Server) (hosts []string, any bool) {
	for _, route := range server.Routes {
		if !hasOurs(caddyhttp.RouteList{route}) {
			continue
		}
		of := hostsOf(route)
		hosts, any = append(hosts, of...), any || len(of) == 0
	}
	for _, route := range server.NamedRoutes { // invoked from anywhere
		any = any || hasOurs(caddyhttp.RouteList{*route})
	}
	return hosts, any
}

func hasOurs(routes caddyhttp.RouteList) bool {
	for _, route := range routes {
		for _, handler := range route.Handlers {
			if sub, ok := handler.(*caddyhttp.Subroute); ok && hasOurs(sub.Routes) {
				return true
			}
			mod, ok := handler.(caddy.Module)
			if ok && strings.HasPrefix(string(mod.CaddyModule().ID), "http.handlers.uma_") {
				return true
			}
		}
	}
	return false
}

func hostsOf(route caddyhttp.Route) []string {
	var hosts []string
	for _, set := range route.MatcherSets {
		for _, matcher := range set {
			switch m := matcher.(type) {
			case *caddyhttp.MatchHost:
				hosts = append(hosts, *m...)
			case caddyhttp.MatchHost:
				hosts = append(hosts, m...)
			}
		}
	}
	return hosts
}

// accessLogs are the loggers of these hosts, or of all.
func accessLogs(server *caddyhttp.Server, hosts []string, any bool) []string {
	if server.Logs == nil {
		return nil
	}
	var names []string
	for _, host := range hosts {
		names = append(names, loggersOf(server.Logs, host)...)
	}
	if any {
		names = append(names, server.Logs.DefaultLoggerName)
		for _, list := range server.Logs.LoggerNames {
			names = append(names, list...)
		}
	}
	for i, name := range names {
		names[i] = strings.TrimSuffix(accessLogger+"."+name, ".")
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// loggersOf is how Caddy finds the access loggers of a host.
func loggersOf(logs *caddyhttp.ServerLogConfig, host string) []string {
	host = strings.ToLower(host)
	if slices.Contains(logs.SkipHosts, host) {
		return nil
	}
	if names, ok := logs.LoggerNames[host]; ok {
		return slices.Clone(names)
	}
	labels := strings.Split(host, ".")
	for i := range labels {
		labels[i] = "*"
		if names, ok := logs.LoggerNames[strings.Join(labels, ".")]; ok {
			return slices.Clone(names)
		}
	}
	if logs.SkipUnmappedHosts {
		return nil
	}
	return []string{logs.DefaultLoggerName}
}

// named stands for the module that a logger is for.
type named string

// CaddyModule implements caddy.Module.
func (n named) CaddyModule() caddy.ModuleInfo { return caddy.ModuleInfo{ID: caddy.ModuleID(n)} }

// shows tries what the logs behind a logger do with credentials: fields are given
// to their encoders, which looks whether anybody reads them, and no line is
// written. So it does not matter which filter hides them, or where it stands in the
// configuration.
func shows(ctx caddy.Context, logger string) bool {
	var seen bool
	sight := zapcore.ArrayMarshalerFunc(func(to zapcore.ArrayEncoder) error {
		_, cleaned := to.(arrayCleaner)
		seen = seen || !cleaned
		return nil
	})
	header := func(name string) zapcore.ObjectMarshaler {
		return zapcore.ObjectMarshalerFunc(func(to zapcore.ObjectEncoder) error { return to.AddArray(name, sight) })
	}
	request := zapcore.ObjectMarshalerFunc(func(to zapcore.ObjectEncoder) error { return to.AddObject("headers", header("Dpop")) })
	fields := []zap.Field{zap.Object("request", request)}
	if strings.HasPrefix(logger, accessLogger) {
		fields = append(fields, zap.Object("resp_headers", header("Www-Authenticate")))
	}
	// A module gets the logs of everything below its name, too; below this name
	// there is nothing.
	ctx.Logger(named(logger + ".-")).Core().With(fields)
	return seen
}
