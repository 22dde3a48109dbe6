/**
 * An object with some members replaced. libp2p hands its parts to services and transports; replacing a member there
 * bounds what a service does without touching its code.
 */
export function override<T extends object>(target: T, own: Partial<T>): T {
  return new Proxy(target, {
    get(object, key) {
      if (Object.hasOwn(own, key)) return Reflect.get(own, key)
      const value: unknown = Reflect.get(object, key, object)
      // Bound to the real object: private fields of a class cannot be reached through a proxy.
      return typeof value === 'function' ? value.bind(object) : value
    },
  })
}
