package jose

import "context"

// Ready tells whether there is a key to use, making the first one if there is none.
// With a key in memory storage is looked at as rarely as otherwise.
func (r *Ring) Ready(ctx context.Context) error {
	_, err := r.current(ctx)
	return err
}
