package jose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

// bounded is the context of work on the storage. One caller's cancelling must not
// fail those who wait for the same look, nor leave a lock behind.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), StorageTimeout)
}

// list reads the key files. Those that are gone are forgotten, and an edited
// retire_after counts from the next look on. If storage fails, the keys in
// memory stay. The caller holds mu and bounds ctx.
func (r *Ring) list(ctx context.Context) error {
	names, err := r.cfg.Storage.List(ctx, r.folder, false)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrKeySource, err)
	}
	var keys []*ringKey
	for _, name := range names {
		k, err := r.load(ctx, name[strings.LastIndexByte(name, '/')+1:])
		if err != nil {
			return err
		}
		if k != nil {
			keys = append(keys, k)
		}
	}
	r.keep(keys)
	return nil
}

// keep replaces what is known.
func (r *Ring) keep(keys []*ringKey) {
	slices.SortFunc(keys, func(a, b *ringKey) int {
		return cmp.Or(
			b.created.Compare(a.created),
			b.notBefore.Compare(a.notBefore), // made in the same second: the later one takes over
			strings.Compare(a.kid, b.kid),    // the same order on every node
		)
	})
	r.state.Store(&ringState{keys: keys, listed: r.cfg.Now()})
	r.answer = nil
}

// load reads the key file of this name. A broken or foreign one is skipped: one
// bad file must not stop the server.
func (r *Ring) load(ctx context.Context, name string) (*ringKey, error) {
	kid, isKey := strings.CutSuffix(name, ".json")
	if !isKey || !isThumbprint(kid) {
		r.skip(name, errors.New("the name is not that of a key file"))
		return nil, nil
	}
	data, err := r.cfg.Storage.Load(ctx, r.file(kid))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeySource, err)
	}
	k, err := r.read(kid, data)
	if err != nil {
		r.skip(name, err)
		return nil, nil //nolint:nilerr // one bad file stops nothing
	}
	delete(r.skipped, name)
	return k, nil
}

// read gives the key of a file with this kid in its name, if it is for this ring.
func (r *Ring) read(kid string, data []byte) (*ringKey, error) {
	k, err := parseKeyFile(data)
	switch {
	case err != nil:
		return nil, err
	case k.kid != kid:
		return nil, errors.New("the name is not the kid of the key")
	case k.isSecret() != r.isSecret():
		return nil, errors.New("the key is of the wrong kind for this purpose")
	}
	return k, nil
}

// skip logs a file that is not used: once, not at every look.
func (r *Ring) skip(name string, reason error) {
	if r.skipped[name] == reason.Error() {
		return
	}
	r.skipped[name] = reason.Error()
	r.cfg.Log.Error("a key file is skipped",
		zap.String("folder", r.folder), zap.String("file", name), zap.Error(reason))
}

func (r *Ring) file(kid string) string { return r.folder + "/" + kid + ".json" }

func (r *Ring) isSecret() bool { return r.cfg.Alg == algSecret }

// locked does something under the lock of the ring, after another look. The lock
// may be lost (certmagic's locks are not fenced): what is done must hurt nobody
// when two do it. The caller holds mu and bounds ctx.
func (r *Ring) locked(ctx context.Context, do func(context.Context) error) error {
	lock := strings.ReplaceAll(r.folder, "/", "_")
	if err := r.cfg.Storage.Lock(ctx, lock); err != nil {
		return fmt.Errorf("%w: %w", ErrKeySource, err)
	}
	defer func() {
		ctx, cancel := bounded(ctx) // also when the time for the rest is over
		defer cancel()
		if err := r.cfg.Storage.Unlock(ctx, lock); err != nil {
			r.cfg.Log.Error("the lock of the keys could not be released", zap.Error(err))
		}
	}()
	if err := r.list(ctx); err != nil {
		return err
	}
	return do(ctx)
}

// rotate adds a key if one is due: of two nodes one makes the key and the other
// finds it. Without a lock there is a key too many.
func (r *Ring) rotate(ctx context.Context) error {
	return r.locked(ctx, func(ctx context.Context) error {
		if !r.life().due() {
			return nil
		}
		// The first key is used at once; a later one is published first
		// (CONFORMANCE SEC-11).
		_, err := r.add(ctx, r.life().choose() == nil)
		return err
	})
}

// add makes a key and stores it.
func (r *Ring) add(ctx context.Context, atOnce bool) (*ringKey, error) {
	k, err := generate(r.cfg.Alg)
	if err != nil {
		return nil, err
	}
	k.notBefore = r.cfg.Now().UTC().Truncate(time.Second)
	k.created = r.newest(k.notBefore)
	if !atOnce {
		k.notBefore = k.notBefore.Add(Overlap)
	}
	k.retire = retirement(&r.cfg, k.notBefore)
	if err := r.write(ctx, k); err != nil {
		return nil, err
	}
	r.keep(append([]*ringKey{k}, r.state.Load().keys...))
	return k, nil
}

// newest is now, or later than every key that is there: the order of the keys
// must not hang on the second in which two were made.
func (r *Ring) newest(now time.Time) time.Time {
	if keys := r.state.Load().keys; len(keys) > 0 && !now.After(keys[0].created) {
		return keys[0].created.Add(time.Second)
	}
	return now
}

// write stores a key file.
func (r *Ring) write(ctx context.Context, k *ringKey) error {
	data, err := k.marshal()
	if err != nil {
		return err
	}
	if err := r.cfg.Storage.Store(ctx, r.file(k.kid), data); err != nil {
		return fmt.Errorf("%w: %w", ErrKeySource, err)
	}
	return nil
}
