package jose

import "context"

// Ready tells whether there is a key to use, making the first one if there is none.
// With a key in memory it does not look into storage, which may hang: who signs does.
func (r *Ring) Ready(ctx context.Context) error {
	if r.life().choose() != nil {
		return nil
	}
	_, err := r.current(ctx)
	return err
}
