// Package officehours is an example of a guest: a policy that holds during
// office hours. It imports nothing of the authorization server but the public
// contract.
//
//	policy staff {
//		from     bob.example
//		evaluate office_hours {
//			from 8
//			to   18
//			zone Europe/Berlin
//		}
//	}
package officehours

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-uma/caddy-uma/caddyuma/policy"
)

func init() { caddy.RegisterModule(new(OfficeHours)) }

// OfficeHours holds from Monday to Friday, from an hour until before another.
type OfficeHours struct {
	// From is the first hour, To the one at which it ends.
	From int `json:"from"`
	To   int `json:"to"`
	// Zone is the name of the time zone. Default: UTC.
	Zone string `json:"zone,omitempty"`

	location *time.Location
}

// CaddyModule says where the guest is found.
func (*OfficeHours) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "uma.policies.office_hours", New: func() caddy.Module { return new(OfficeHours) }}
}

// UnmarshalCaddyfile reads the block behind `evaluate`:
//
//	office_hours {
//		from <hour>
//		to   <hour>
//		zone <name>
//	}
func (o *OfficeHours) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the module
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := o.option(d); err != nil {
			return err
		}
	}
	return nil
}

// option reads one line.
func (o *OfficeHours) option(d *caddyfile.Dispenser) error {
	name := d.Val()
	if !d.NextArg() || d.CountRemainingArgs() > 0 {
		return d.ArgErr()
	}
	hour, err := strconv.Atoi(d.Val())
	switch {
	case name == "zone":
		o.Zone = d.Val()
		return nil
	case name != "from" && name != "to":
		return d.Errf("unknown option '%s' of office_hours", name)
	case err != nil:
		return d.Errf("'%s' of '%s' is no hour", d.Val(), name)
	case name == "from":
		o.From = hour
	default:
		o.To = hour
	}
	return nil
}

// Provision checks the hours and loads the zone.
func (o *OfficeHours) Provision(caddy.Context) (err error) {
	if o.From < 0 || o.To > 24 || o.From >= o.To {
		return errors.New("office_hours: write hours from 0 to 24, the earlier one as 'from'")
	}
	if o.location, err = time.LoadLocation(o.Zone); err != nil {
		return fmt.Errorf("office_hours: %w", err)
	}
	return nil
}

// Evaluate looks at the time of the decision alone: it needs no claims, so that
// it works under `from anyone`, too.
func (o *OfficeHours) Evaluate(_ context.Context, in *policy.Input) (bool, error) {
	if !in.Budget.Take(1) {
		return false, policy.ErrCost
	}
	now := in.Now.In(o.location)
	weekend := now.Weekday() == time.Saturday || now.Weekday() == time.Sunday
	return !weekend && now.Hour() >= o.From && now.Hour() < o.To, nil
}

// Explain says what time it was.
func (o *OfficeHours) Explain(ctx context.Context, in *policy.Input, _ policy.Detail) policy.Explanation {
	result, err := o.Evaluate(ctx, in)
	source := fmt.Sprintf("%s from %d to %d", in.Now.In(o.location).Format("Monday 15:04 MST"), o.From, o.To)
	return policy.Explanation{Result: result, Err: err, Parts: []policy.Part{{Source: source, Result: result, Err: err}}}
}

var (
	_ caddy.Provisioner     = (*OfficeHours)(nil)
	_ caddyfile.Unmarshaler = (*OfficeHours)(nil)
	_ policy.Explainer      = (*OfficeHours)(nil)
)
