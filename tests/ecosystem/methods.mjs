// Which methods of a package's class a run has called. The list comes from the installed package, so a
// new version with one more method fails the run until somebody calls that too.

// Every method of a class and of what it extends.
function methodsOf(kind) {
  const names = new Set();
  for (let prototype = kind.prototype; prototype && prototype !== Object.prototype; prototype = Object.getPrototypeOf(prototype)) {
    for (const name of Object.getOwnPropertyNames(prototype)) {
      if (name !== 'constructor' && typeof prototype[name] === 'function') names.add(name);
    }
  }
  return names;
}

// `excused` names methods that no run calls, each with its reason.
export function exercised(kind, excused = {}) {
  const all = methodsOf(kind);
  const called = new Set();
  return {
    // The object, which notes each method that answered. What its methods call of one another does not
    // count: that goes to the object itself.
    watch(object) {
      return new Proxy(object, {
        get(target, name) {
          const value = target[name];
          return all.has(name) ? noting(value.bind(target), () => called.add(name)) : value;
        },
      });
    },
    // Fails when the package has a method that was neither called nor excused, or an excuse is stale.
    report(show) {
      const missing = [...all].filter((name) => !called.has(name) && !(name in excused));
      const stale = Object.keys(excused).filter((name) => !all.has(name) || called.has(name));
      show.equal(missing, [], `${kind.name}: methods that no area calls`);
      show.equal(stale, [], `${kind.name}: excuses for methods that are called or not there`);
      console.log(`${kind.name}: ${called.size} of ${all.size} methods exercised, ${Object.keys(excused).length} excused`);
    },
  };
}

function noting(method, note) {
  return (...args) => {
    const answer = method(...args);
    if (answer?.[Symbol.asyncIterator]) {
      return (async function* () {
        yield* answer;
        note();
      })();
    }
    if (typeof answer?.then === 'function') {
      return answer.then((value) => {
        note();
        return value;
      });
    }
    note();
    return answer;
  };
}
