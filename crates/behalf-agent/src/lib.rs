//! The agent: durable turns, tools, the model client and the chat dialects.
