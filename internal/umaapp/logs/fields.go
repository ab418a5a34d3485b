package logs

import (
	"bytes"
	"encoding/json"

	"go.uber.org/zap/zapcore"
)

// objectCleaner cleans the members of an object. Numbers and times pass.
type objectCleaner struct {
	zapcore.ObjectEncoder `json:"-"`
}

// AddString implements zapcore.ObjectEncoder.
func (o objectCleaner) AddString(key, value string) {
	o.ObjectEncoder.AddString(key, cleanMember(key, value))
}

// AddByteString implements zapcore.ObjectEncoder.
func (o objectCleaner) AddByteString(key string, value []byte) {
	o.ObjectEncoder.AddString(key, cleanMember(key, string(value)))
}

// AddBinary implements zapcore.ObjectEncoder. Nobody logs bytes that are no text;
// what is in them cannot be told.
func (o objectCleaner) AddBinary(key string, _ []byte) { o.ObjectEncoder.AddString(key, redacted) }

func cleanMember(key, value string) string {
	if isSecretName(key) && value != "" {
		return redacted
	}
	return clean(value)
}

// AddObject implements zapcore.ObjectEncoder.
func (o objectCleaner) AddObject(key string, object zapcore.ObjectMarshaler) error {
	if isSecretName(key) {
		o.ObjectEncoder.AddString(key, redacted)
		return nil
	}
	return o.ObjectEncoder.AddObject(key, objectCleaned(object))
}

// AddArray implements zapcore.ObjectEncoder.
func (o objectCleaner) AddArray(key string, array zapcore.ArrayMarshaler) error {
	if isSecretName(key) {
		return o.ObjectEncoder.AddArray(key, zapcore.ArrayMarshalerFunc(func(to zapcore.ArrayEncoder) error {
			to.AppendString(redacted)
			return nil
		}))
	}
	return o.ObjectEncoder.AddArray(key, arrayCleaned(array))
}

// AddReflected implements zapcore.ObjectEncoder.
func (o objectCleaner) AddReflected(key string, value any) error {
	if isSecretName(key) {
		o.ObjectEncoder.AddString(key, redacted)
		return nil
	}
	return o.ObjectEncoder.AddReflected(key, cleanValue(value))
}

func objectCleaned(object zapcore.ObjectMarshaler) zapcore.ObjectMarshaler {
	return zapcore.ObjectMarshalerFunc(func(to zapcore.ObjectEncoder) error {
		return object.MarshalLogObject(objectCleaner{to})
	})
}

func arrayCleaned(array zapcore.ArrayMarshaler) zapcore.ArrayMarshaler {
	return zapcore.ArrayMarshalerFunc(func(to zapcore.ArrayEncoder) error {
		return array.MarshalLogArray(arrayCleaner{to})
	})
}

// arrayCleaner cleans the entries of a list.
type arrayCleaner struct{ zapcore.ArrayEncoder }

// AppendString implements zapcore.ArrayEncoder.
func (a arrayCleaner) AppendString(value string) { a.ArrayEncoder.AppendString(clean(value)) }

// AppendByteString implements zapcore.ArrayEncoder.
func (a arrayCleaner) AppendByteString(value []byte) {
	a.ArrayEncoder.AppendString(clean(string(value)))
}

// AppendObject implements zapcore.ArrayEncoder.
func (a arrayCleaner) AppendObject(object zapcore.ObjectMarshaler) error {
	return a.ArrayEncoder.AppendObject(objectCleaned(object))
}

// AppendArray implements zapcore.ArrayEncoder.
func (a arrayCleaner) AppendArray(array zapcore.ArrayMarshaler) error {
	return a.ArrayEncoder.AppendArray(arrayCleaned(array))
}

// AppendReflected implements zapcore.ArrayEncoder.
func (a arrayCleaner) AppendReflected(value any) error {
	return a.ArrayEncoder.AppendReflected(cleanValue(value))
}

// cleanValue cleans a value of any kind, by way of JSON. What cannot be written as
// JSON is not written.
func cleanValue(value any) any {
	raw, err := json.Marshal(value)
	if err != nil {
		return redacted
	}
	var decoded any
	in := json.NewDecoder(bytes.NewReader(raw))
	in.UseNumber() // large ones stay what they are
	if err := in.Decode(&decoded); err != nil {
		return redacted
	}
	return cleanJSON(decoded)
}

func cleanJSON(value any) any {
	switch v := value.(type) {
	case string:
		return clean(v)
	case []any:
		for i := range v {
			v[i] = cleanJSON(v[i])
		}
	case map[string]any:
		for name, member := range v {
			if isSecretName(name) && member != nil && member != "" {
				v[name] = redacted
			} else {
				v[name] = cleanJSON(member)
			}
		}
	}
	return value
}
